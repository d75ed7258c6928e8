package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway"
)

// FuzzPathValue: whatever the value, the request is for the right origin, below the
// base path, has one segment for the wildcard, and a server finds the value in it; or
// there is no request.
func FuzzPathValue(f *testing.F) {
	for _, s := range []string{"ada", "..", "a/b", "%2e%2e", "..%2f", "//x", "\\..\\", "a?b#c", "\x00", "ü", "%", "%25%32%65", "..;/x"} {
		f.Add(s)
	}
	r := &record{base: reply(204, "")}
	g, err := gateway.New(gateway.Config{BaseURL: "https://api.example/v2", Transport: r})
	if err != nil {
		f.Fatal(err)
	}
	one := gateway.NewEndpoint[string, gateway.None](g, "DELETE /users/{name}/keys", gateway.EndpointConfig{})
	rest := gateway.NewEndpoint[string, gateway.None](g, "GET /files/{path...}", gateway.EndpointConfig{})
	var got string
	mux := http.NewServeMux()
	mux.HandleFunc("DELETE /v2/users/{name}/keys", func(w http.ResponseWriter, r *http.Request) { got = r.PathValue("name") })
	mux.HandleFunc("GET /v2/files/{path...}", func(w http.ResponseWriter, r *http.Request) { got = r.PathValue("path") })
	f.Fuzz(func(t *testing.T, value string) {
		for _, e := range []*gateway.Endpoint[string, gateway.None]{one, rest} {
			r.requests = nil
			_, err := e.Call(context.Background(), value)
			if len(r.requests) == 0 {
				if err == nil {
					t.Fatal("not sent, and no error")
				}
				continue
			}
			u := r.requests[0].URL
			if err != nil || u.Scheme != "https" || u.Host != "api.example" || u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
				t.Fatalf("%q: %v, %v", value, u, err)
			}
			again, err := url.Parse(u.String())
			if err != nil || again.Path != u.Path || again.EscapedPath() != u.EscapedPath() || !strings.HasPrefix(path.Clean(again.Path), "/v2/") {
				t.Fatalf("%q: %v is read as %v (%v)", value, u, again, err)
			}
			if decoded := unescapeAll(u.EscapedPath()); e == one && strings.HasPrefix(path.Clean(strings.ReplaceAll(decoded, `\`, "/")), "/v2/users/") == false {
				t.Fatalf("%q: a server that decodes again sees %q", value, decoded)
			}
			if path.Clean(u.Path) != u.Path {
				continue // which a ServeMux answers with a redirect
			}
			got = "no handler"
			mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(r.requests[0].Method, u.RequestURI(), nil))
			if got != value {
				t.Fatalf("%q: the server has %q", value, got)
			}
		}
	})
}

func unescapeAll(s string) string {
	for {
		decoded, err := url.PathUnescape(s)
		if err != nil || decoded == s {
			return s
		}
		s = decoded
	}
}

// FuzzPattern: a pattern is refused, or its requests match it in a ServeMux, as far as
// that knows such patterns.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"GET /users/{name}", "GET /a/{x...}", "GET /{a}...{b}", "POST /x%20y/{z}", "GET //x", "GET /..", "GET /{x}/", "GET /a;b/{c}", "GET /a:b@c/{d}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		r := &record{base: reply(204, "")}
		g := mustNew(t, gateway.Config{BaseURL: "https://api.example/v2", Transport: r})
		var e *gateway.Endpoint[string, gateway.None]
		if text := panicOf(func() { e = gateway.NewEndpoint[string, gateway.None](g, pattern, gateway.EndpointConfig{}) }); text != "" {
			if !strings.HasPrefix(text, "gateway: ") {
				t.Fatal(text)
			}
			return
		}
		if _, err := e.Call(t.Context(), "v a/l"); err != nil {
			t.Fatal(err)
		}
		u := r.requests[0].URL
		again, err := url.Parse(u.String())
		if err != nil || again.EscapedPath() != u.EscapedPath() || again.RawQuery != "" || again.Fragment != "" || again.Host != "api.example" {
			t.Fatalf("%q: %v is read as %v (%v)", pattern, u, again, err)
		}
		if clean := path.Clean(again.Path); !strings.HasPrefix(clean, "/v2") {
			t.Fatalf("%q climbs to %s", pattern, clean)
		}
	})
}

// FuzzBaseURL: a base URL is refused, or all requests begin with it.
func FuzzBaseURL(f *testing.F) {
	for _, s := range []string{"https://api.example", "http://a/b/", "https://a%2fb/c", "http://[::1]:80/x%2Fy", "https://a/..", "http:a", "https://u:p@a/", "HTTPS://A.EXAMPLE/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, base string) {
		r := &record{base: reply(204, "")}
		g, err := gateway.New(gateway.Config{BaseURL: base, Transport: r})
		if err != nil {
			return
		}
		if _, err := gateway.NewEndpoint[string, gateway.None](g, "GET /x/{y}", gateway.EndpointConfig{}).Call(t.Context(), "z"); err != nil {
			t.Fatalf("%q: %v", base, err)
		}
		want, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		u := r.requests[0].URL
		if u.Scheme != want.Scheme || u.Host != want.Host || u.User != nil || u.RawQuery != "" || u.EscapedPath() != strings.TrimSuffix(want.EscapedPath(), "/")+"/x/z" {
			t.Errorf("%q: the request is for %v", base, u)
		}
	})
}

// FuzzBinding: a server reads from the query, the form and the header what was given, or nothing
// is sent.
func FuzzBinding(f *testing.F) {
	f.Add("a", "b c", "d&e=f", int64(-1), true)
	f.Add("\r\n", "ü", "%zz+;", int64(0), false)
	type in struct {
		H string   `header:"X-H"`
		Q string   `query:"a b"`
		L []string `query:"l"`
		N int64    `query:"n"`
		F string   `form:"f"`
		B bool     `form:"b,omitempty"`
	}
	r := &record{base: reply(204, "")}
	g, err := gateway.New(gateway.Config{BaseURL: "https://api.example", Transport: r})
	if err != nil {
		f.Fatal(err)
	}
	e := gateway.NewEndpoint[in, gateway.None](g, "POST /x", gateway.EndpointConfig{})
	f.Fuzz(func(t *testing.T, h, q, form string, n int64, b bool) {
		r.requests, r.bodies = nil, nil
		_, err := e.Call(context.Background(), in{H: h, Q: q, L: []string{q, form}, N: n, F: form, B: b})
		if len(r.requests) == 0 {
			if err == nil || !strings.ContainsAny(h, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f") {
				t.Fatalf("not sent: %v", err)
			}
			return
		}
		req := r.requests[0]
		query, err := url.ParseQuery(req.URL.RawQuery)
		if err != nil || query.Get("a b") != q || len(query["l"]) != 2 || query["l"][1] != form {
			t.Fatalf("the query is %v, %v", query, err)
		}
		body, err := url.ParseQuery(r.bodies[0])
		if err != nil || body.Get("f") != form || body.Has("b") != b {
			t.Fatalf("the form is %v, %v", body, err)
		}
		if req.Header.Get("X-H") != h || strings.ContainsAny(h, "\r\n") {
			t.Fatalf("the field is %q", req.Header["X-H"])
		}
	})
}
