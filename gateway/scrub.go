package gateway

import (
	"encoding/json"
	"errors"
	"html"
	"net/url"
	"slices"
	"strings"
)

const (
	minSecret = 4 // bytes; anything shorter looks like other text
	redacted  = "[redacted]"
)

// scrub replaces secrets in s.
func scrub(s string, secrets []string) string {
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // the whole before its parts
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		s = strings.ReplaceAll(s, secret, redacted)
		for _, spelling := range spellings(secret) {
			if spelling != secret {
				s = strings.ReplaceAll(s, spelling, redacted)
			}
		}
	}
	return s
}

var slashes = strings.NewReplacer("/", `\/`)

// spellings returns secret as it stands in a URL, in JSON and in HTML.
func spellings(secret string) []string {
	quoted, _ := json.Marshal(secret) // which has no error
	inJSON := strings.Trim(string(quoted), `"`)
	inHTML := html.EscapeString(secret)
	return []string{
		url.QueryEscape(secret), inJSON, slashes.Replace(inJSON), slashes.Replace(secret),
		inHTML, strings.ReplaceAll(inHTML, "+", "&#43;"),
	}
}

// withoutQuery returns a URL reference without userinfo and query. A query may contain
// a signature.
func withoutQuery(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return redacted
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// publicURL returns a word without the userinfo and the query of a URL in it.
func publicURL(word string) string {
	before, after, ok := strings.Cut(word, "://")
	if !ok {
		return word
	}
	if address, _, ok := strings.Cut(after, "?"); ok {
		after = address + "?" + redacted
	}
	host := after
	if i := strings.IndexAny(after, "/?"); i >= 0 {
		host = after[:i]
	}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		after = redacted + after[at:]
	}
	return before + "://" + after
}

// tree yields err and all errors that it wraps.
func tree(err error) func(yield func(error) bool) {
	return func(yield func(error) bool) { walk(err, yield) }
}

func walk(err error, yield func(error) bool) bool {
	if err == nil {
		return true
	}
	if !yield(err) {
		return false
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return walk(u.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			if !walk(inner, yield) {
				return false
			}
		}
	}
	return true
}

// scrubbed is an error with another text.
type scrubbed struct {
	err  error
	text string
}

func (s *scrubbed) Error() string { return s.text }

// Is and As find the error that Unwrap would show.
func (s *scrubbed) Is(target error) bool { return errors.Is(s.err, target) }
func (s *scrubbed) As(target any) bool   { return errors.As(s.err, target) }
