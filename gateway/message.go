package gateway

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxMessage = 256 // bytes

// message returns what the server says in the body of an error, as it is: what a
// problem says, a usual member of other JSON, or the first line of plain text.
func message(contentType string, p *Problem, body []byte) string {
	switch m := mediaType(contentType); {
	case p != nil:
		return p.message()
	case isJSON(m):
		var v any
		if json.Unmarshal(body, &v) == nil {
			return told(v)
		}
	case m == "text/plain":
		for line := range strings.Lines(string(body)) {
			if line = strings.TrimSpace(line); line != "" {
				return line
			}
		}
	}
	return ""
}

func (p *Problem) message() string {
	switch {
	case p.Title == "" || strings.HasPrefix(p.Detail, p.Title):
		return p.Detail
	case p.Detail == "":
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// tellers are the members in which servers say what is wrong, in small letters and
// without underscores, the most telling ones first.
var tellers = []string{
	"message", "detail", "errormessage", "errordescription", "msg", "reason", "description",
	"error", "errors", "errormessages", "fault", "faultstring", "title",
}

// told returns the first text in v, or in the members of v that tell something.
func told(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, element := range v {
			if s := told(element); s != "" {
				return s
			}
		}
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		for _, teller := range tellers {
			for _, name := range names {
				if strings.ToLower(strings.ReplaceAll(name, "_", "")) != teller {
					continue
				}
				if s := told(v[name]); s != "" {
					return s
				}
			}
		}
	}
	return ""
}

// oneLine returns s without line breaks, what cannot be seen, and what may be secret in
// URLs.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	words := strings.Fields(s)
	for i, word := range words {
		words[i] = publicURL(word)
	}
	return strings.Join(words, " ")
}

// shorten returns s, cut to maxMessage at the end of a character.
func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	const more = "..."
	n := maxMessage - len(more)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + more
}
