// Package gatewaytest answers the calls of a gateway in tests, without a network.
//
//	api, err := gateway.New(gateway.Config{
//		BaseURL: "https://api.example",
//		Transport: gatewaytest.Stub{
//			"GET /users/{name}": func(w http.ResponseWriter, r *http.Request) {
//				gatewaytest.JSON(w, http.StatusOK, User{Name: r.PathValue("name")})
//			},
//		},
//	})
package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"

	"github.com/belay-go/belay/gateway"
)

// A Stub is a transport that answers each request with a handler. Its key is the name
// of the endpoint, which usually is the pattern. If it is the pattern, the handler gets
// the wildcards from [http.Request.PathValue]. A request without a handler gets an
// error. Handlers run on the goroutines of the callers, several at once if there are
// several callers.
type Stub map[string]http.HandlerFunc

// RoundTrip implements [http.RoundTripper].
func (s Stub) RoundTrip(req *http.Request) (*http.Response, error) {
	defer func() {
		if req.Body != nil {
			req.Body.Close()
		}
	}()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	name, _ := gateway.EndpointFrom(req.Context())
	handler := s[name]
	if handler == nil {
		return nil, fmt.Errorf("gatewaytest: the Stub has no handler for the endpoint %q", name)
	}
	in := req.Clone(req.Context()) // in the form that a server gets
	in.RequestURI = req.URL.RequestURI()
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	for name, value := range values(name, req.URL.EscapedPath()) {
		in.SetPathValue(name, value)
	}
	w := httptest.NewRecorder()
	handler(w, in)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

// JSON answers with a status and v as JSON. It panics if v cannot be encoded.
func JSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(text)
}

var wildcard = regexp.MustCompile(`\\\{([A-Za-z_][A-Za-z0-9_]*)(\\\.\\\.\\\.)?\\\}`)

// values returns the values of the wildcards of a pattern in an encoded path. The path
// may begin with the path of the base URL.
func values(pattern, path string) map[string]string {
	_, pattern, ok := strings.Cut(pattern, " ")
	if !ok {
		return nil
	}
	names := wildcard.FindAllStringSubmatch(regexp.QuoteMeta(pattern), -1)
	expression := wildcard.ReplaceAllStringFunc(regexp.QuoteMeta(pattern), func(s string) string {
		if strings.HasSuffix(s, `\.\}`) {
			return "(.+)"
		}
		return "([^/]+)"
	})
	found := regexp.MustCompile(expression + "$").FindStringSubmatch(path)
	if found == nil {
		return nil
	}
	all := map[string]string{}
	for i, name := range names {
		all[name[1]], _ = url.PathUnescape(found[i+1])
	}
	return all
}
