package gateway

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Problem is what a server says about an error (RFC 9457).
type Problem struct {
	Type     string // a URI; about:blank if the server says none
	Title    string // the same for all problems of this type
	Status   int    // what the server says; the status of the response may differ
	Detail   string // about this occurrence
	Instance string // a URI of this occurrence

	// Extensions are all other members.
	Extensions map[string]json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler]. Members of a wrong type are ignored, as
// the RFC asks.
func (p *Problem) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	*p = Problem{}
	for name, v := range map[string]any{
		"type": &p.Type, "title": &p.Title, "status": &p.Status, "detail": &p.Detail, "instance": &p.Instance,
	} {
		if raw, ok := members[name]; ok {
			json.Unmarshal(raw, v)
			delete(members, name)
		}
	}
	p.Type = cmp.Or(p.Type, "about:blank")
	if len(members) > 0 {
		p.Extensions = members
	}
	return nil
}

// parseProblem returns nil if body is no problem.
func parseProblem(body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil {
		return nil
	}
	return p
}

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
