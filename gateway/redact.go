package gateway

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/belay-go/belay/internal/identity"
)

// publicHeader returns a copy of h without cookies and the credentials of the call.
func (c *call) publicHeader(h http.Header) http.Header {
	secrets := c.secrets()
	h = h.Clone()
	h.Del("Set-Cookie")
	h.Del("Set-Cookie2")
	for _, values := range h {
		for i := range values {
			values[i] = scrub(values[i], secrets)
		}
	}
	return h
}

// request returns the last request of the call, nil if there is none.
func (c *call) request() *http.Request { return cmp.Or(c.sent, c.own) }

// secret reports whether a header field of a request is a credential: by its name, or
// because only Auth can have set it.
func (e *plan) secret(name string) bool {
	if identity.Secret(name) {
		return true
	}
	_, ours := e.header[name]
	return !ours && !harmless[name] && !slices.ContainsFunc(e.binding.fields, func(f field) bool {
		return f.place == "header" && f.name == name
	})
}

// secrets returns the credentials that the call has sent, whole and in parts.
func (c *call) secrets() []string {
	req := c.request()
	if req == nil {
		return nil
	}
	var secrets []string
	for name, values := range req.Header {
		if !c.endpoint.secret(name) {
			continue
		}
		for _, v := range values {
			secrets = append(secrets, v)
			_, word, ok := strings.Cut(v, " ")
			if !ok {
				continue
			}
			secrets = append(secrets, word)
			if plain, err := base64.StdEncoding.DecodeString(word); err == nil {
				_, password, _ := strings.Cut(string(plain), ":")
				secrets = append(secrets, string(plain), password)
			}
		}
	}
	before, _ := url.ParseQuery(c.query)
	after, _ := url.ParseQuery(req.URL.RawQuery)
	for name, values := range after {
		for _, v := range values {
			if identity.Secret(name) || !slices.Contains(before[name], v) { // added by Auth
				secrets = append(secrets, v)
			}
		}
	}
	form, _ := url.ParseQuery(c.form)
	for name, values := range form {
		if identity.Secret(name) {
			secrets = append(secrets, values...)
		}
	}
	return secrets
}

// echoes returns the secrets of the call, and the parts of its URL that no text shows.
func (c *call) echoes() []string {
	secrets := c.secrets()
	req := c.request()
	secrets = append(secrets, req.URL.Path, req.URL.EscapedPath(), req.URL.RawQuery)
	query, _ := url.ParseQuery(req.URL.RawQuery)
	for _, values := range query {
		secrets = append(secrets, values...)
	}
	return secrets
}

// scrubError returns err with a text that has no secrets.
func (c *call) scrubError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := scrub(text, c.echoes()); clean != text {
		return &scrubbed{err, clean}
	}
	return err
}

// withoutURL returns err with a text that does not show the URL of any *url.Error in
// it. An http.Client below adds such errors.
func (c *call) withoutURL(err error) error {
	text := ""
	for e := range tree(err) {
		if u, ok := e.(*url.Error); ok {
			text = cmp.Or(text, err.Error())
			text = strings.ReplaceAll(text, fmt.Sprintf("%q", u.URL), `"`+redacted+`"`)
			text = strings.ReplaceAll(text, u.URL, redacted)
		}
	}
	if text == "" {
		return err
	}
	return &scrubbed{err, text}
}

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
