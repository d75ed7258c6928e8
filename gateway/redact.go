package gateway

import (
	"cmp"
	"encoding/base64"
	"fmt"
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
