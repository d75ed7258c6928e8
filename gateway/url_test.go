package gateway_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway"
)

// Base URLs that are joined in one way and no other: the table of the documentation.
func TestJoin(t *testing.T) {
	for _, tt := range []struct{ base, pattern, want string }{
		{"https://api.example", "GET /users/{name}", "https://api.example/users/ada"},
		{"https://api.example/", "GET /users/{name}", "https://api.example/users/ada"},
		{"https://api.example/v2", "GET /users/{name}", "https://api.example/v2/users/ada"},
		{"https://api.example/v2/", "GET /users/{name}", "https://api.example/v2/users/ada"},
		{"https://api.example/v2", "GET /{name}", "https://api.example/v2/ada"},
		{"https://api.example/v2", "GET /{name}/", "https://api.example/v2/ada/"},
		{"https://api.example/a%2Fb/", "GET /{name}", "https://api.example/a%2Fb/ada"},
		{"http://[::1]:8080/v2", "GET /x%20y/{name}:cancel", "http://[::1]:8080/v2/x%20y/ada:cancel"},
		{"http://api.example/!", "GET /(x)/{name}", "http://api.example/!/(x)/ada"},
	} {
		r := &record{base: reply(204, "")}
		g := mustNew(t, gateway.Config{BaseURL: tt.base, Transport: r})
		if _, err := gateway.NewEndpoint[string, gateway.None](g, tt.pattern, gateway.EndpointConfig{}).Call(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		req := r.requests[0]
		if got := req.URL.String(); got != tt.want || req.Host != req.URL.Host || req.URL.Opaque != "" {
			t.Errorf("%s and %s: %s (host %s, opaque %q), want %s", tt.base, tt.pattern, got, req.Host, req.URL.Opaque, tt.want)
		}
		if again, err := url.Parse(tt.want); err != nil || again.Path != req.URL.Path || again.EscapedPath() != req.URL.EscapedPath() {
			t.Errorf("%s: the path is %q and %q, a parser sees %q", tt.want, req.URL.Path, req.URL.RawPath, again.Path)
		}
	}
	r := &record{base: reply(204, "")}
	g := mustNew(t, gateway.Config{BaseURL: "https://api.example/v2", Transport: r})
	gateway.NewEndpoint[gateway.None, gateway.None](g, "GET /", gateway.EndpointConfig{}).Call(t.Context(), gateway.None{})
	if got := r.requests[0].URL.String(); got != "https://api.example/v2/" {
		t.Errorf("GET / is %s", got)
	}
	if got := g.String(); got != "https://api.example/v2/" {
		t.Errorf("the Gateway is %s", got)
	}
}

func TestBaseURLs(t *testing.T) {
	for base, blame := range map[string]string{
		"":                                "is empty",
		"api.example":                     "no scheme http or https",
		"/v2":                             "no scheme http or https",
		"//api.example/v2":                "no scheme http or https",
		"ftp://api.example":               "no scheme http or https",
		"https:api.example":               "no host",
		"https://":                        "no host",
		"https://:443/":                   "no host",
		"https://ada:s3cr3t@api.example/": "has userinfo",
		"https://s3cr3t@api.example/":     "has userinfo",
		"https://api.example/?s3cr3t=1":   "has a query",
		"https://api.example/?":           "has a query",
		"https://api.example/#s3cr3t":     "has a fragment",
		"https://api.example/#":           "has a fragment",
		"https://api.example/a/../b":      `or ".."`,
		"https://api.example/a/%2e%2E/b":  `or ".."`,
		"https://api.example/a//b":        "is empty, ",
		"https://api.example//":           "is empty, ",
		"https://api.example/a//":         "is empty, ",
		"https://api.example/s3cr3t%zz":   "is not a URL",
		"https://ada:s3cr3t@api exam.ple": "is not a URL",
	} {
		err := gateway.Config{BaseURL: base}.Validate()
		if _, newErr := gateway.New(gateway.Config{BaseURL: base}); newErr == nil || newErr.Error() != err.Error() {
			t.Errorf("%q: New says %v and Validate %v", base, newErr, err)
		}
		if err == nil || !strings.Contains(err.Error(), blame) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v, want %q and no secret", base, err, blame)
		}
	}
}

func TestConfigReportsEverything(t *testing.T) {
	err := gateway.Config{BaseURL: "x", Header: map[string][]string{"Host": {"a"}, "X-Ok": {"a\r\nb"}}}.Validate()
	for _, blame := range []string{"BaseURL", `field "Host"`, `Header["X-Ok"]`} {
		if err == nil || !strings.Contains(err.Error(), blame) {
			t.Errorf("%v, want %q", err, blame)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for pattern, blame := range map[string]string{
		"":                           `want "METHOD /path"`,
		"GET":                        `want "METHOD /path"`,
		" /x":                        `want "METHOD /path"`,
		"get /x":                     "cannot be sent",
		"G(T /x":                     "cannot be sent",
		"CONNECT /x":                 "cannot be sent",
		"GET x":                      "does not begin with a slash",
		"GET https://evil.example/x": "does not begin with a slash",
		"GET //evil.example/x":       "a segment is empty",
		"GET /a//b":                  "a segment is empty",
		"GET /a/./b":                 `means "." or ".."`,
		"GET /a/../b":                `means "." or ".."`,
		"GET /a/%2e%2E/b":            `means "." or ".."`,
		"GET /a/%252e/b":             `means "." or ".."`,
		"GET /a?b={c}":               `fields with the tag query:"name"`,
		"GET /a#b":                   "not percent-encoded",
		"GET /a b":                   "not percent-encoded",
		"GET /a%zz":                  "not percent-encoded",
		"GET /{x":                    "no closing brace",
		"GET /x}":                    "not percent-encoded",
		"GET /{}":                    "has no name",
		"GET /{a-b}":                 "has no name",
		"GET /{$}":                   "has no name",
		"GET /{x...}/y":              "not the last segment",
		"GET /a{x...}":               "not the last segment",
		"GET /{x}{y}":                "nothing between",
		"GET /{x}/{x}":               "appears twice",
	} {
		text := panicOf(func() {
			gateway.NewEndpoint[string, gateway.None](mustNew(t, gateway.Config{}), pattern, gateway.EndpointConfig{})
		})
		if !strings.HasPrefix(text, "gateway: NewEndpoint(") || !strings.Contains(text, blame) {
			t.Errorf("%q: %q, want %q", pattern, text, blame)
		}
	}
}

// A value of the path is one segment and stays where it is. (url.PathEscape does not
// touch dots, url.JoinPath then removes them: DELETE /users/.. deletes all.)
func TestPathValues(t *testing.T) {
	for value, want := range map[string]string{
		"ada":         "/v2/users/ada",
		"a/b":         "/v2/users/a%2Fb",
		"a%2Fb":       "/v2/users/a%252Fb",
		"a b+c&d=e":   "/v2/users/a%20b%2Bc%26d%3De",
		"?x#y;z,":     "/v2/users/%3Fx%23y%3Bz%2C",
		"ädä@x:y":     "/v2/users/%C3%A4d%C3%A4%40x%3Ay",
		"...":         "/v2/users/...",
		"a..b":        "/v2/users/a..b",
		".a":          "/v2/users/.a",
		"..a/.b":      "/v2/users/..a%2F.b",
		"%":           "/v2/users/%25",
		"%2":          "/v2/users/%252",
		"//evil.test": "/v2/users/%2F%2Fevil.test",
		"http://e.x/": "/v2/users/http%3A%2F%2Fe.x%2F",
		"\xff":        "/v2/users/%FF",
		"-._~":        "/v2/users/-._~",
	} {
		req, _, err := sent(t, "DELETE /users/{name}", value, gateway.EndpointConfig{})
		if err != nil || req.URL.EscapedPath() != want || req.URL.Host != "api.example" {
			t.Errorf("%q: %v, %v; want %s", value, req, err, want)
		}
	}
}

func TestPathValuesThatClimb(t *testing.T) {
	for _, value := range []string{
		"", "/", "//", "\\", "%2f", "%252F%5c", ".", "..", "%2e", "%2E%2e", ".%2e", "%252e%252E", "%25252e.", "%2%65", "../x", "x/..", "x/../y", "..\\x", "x\\.",
		"..%2fx", "x%2F..", "x%5c%2e%2E%5Cy", "x%252f..", "./", "a\nb", "\x00", "a\x7f", "..\x00",
	} {
		for _, pattern := range []string{"DELETE /users/{name}", "DELETE /users/{name...}"} {
			req, _, err := sent(t, pattern, value, gateway.EndpointConfig{})
			if e := asError(t, err, gateway.InvalidRequest); req != nil || e.Sent || !e.Rejected() || e.Retryable() {
				t.Errorf("%s: %q was sent as %v (%+v)", pattern, value, req, e)
			}
		}
	}
	for _, value := range []string{"/a", "a/", "a//b", "/"} {
		if _, _, err := sent(t, "GET /contents/{path...}", value, gateway.EndpointConfig{}); err == nil {
			t.Errorf("%q is accepted as the rest of a path", value)
		}
	}
	req, _, err := sent(t, "GET /contents/{path...}", "a/b c/d.go", gateway.EndpointConfig{})
	if err != nil || req.URL.EscapedPath() != "/v2/contents/a/b%20c/d.go" {
		t.Errorf("%v, %v", req, err)
	}
}

// A wildcard that is a part of a segment: no value makes a segment of dots.
func TestMixedSegments(t *testing.T) {
	type compare struct {
		Base string `path:"base"`
		Head string `path:"head"`
	}
	if req, _, err := sent(t, "GET /compare/{base}...{head}", compare{"v1.0", "a/b"}, gateway.EndpointConfig{}); err != nil ||
		req.URL.EscapedPath() != "/v2/compare/v1.0...a%2Fb" {
		t.Errorf("%v, %v", req, err)
	}
	if _, _, err := sent(t, "GET /x/.{name}", "%2e", gateway.EndpointConfig{}); err == nil {
		t.Error("/x/.%2e was sent")
	}
	if req, _, err := sent(t, "GET /x/.{name}", "a", gateway.EndpointConfig{}); err != nil || req.URL.Path != "/v2/x/.a" {
		t.Errorf("%v, %v", req, err)
	}
}
