package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/belay-go/belay/gateway"
)

// What the server says is in the text of the error, in the log and in Message, whatever
// the API calls it.
func TestServerMessages(t *testing.T) {
	const asProblem, asText = "Content-Type: application/problem+json", "Content-Type: text/plain; charset=utf-8"
	for _, tt := range []struct{ fields, body, want string }{
		{asJSON, `{"message":"Not Found","documentation_url":"https://docs.example/rest"}`, "Not Found"},
		{asJSON, `{"Message":"User is not authorized"}`, "User is not authorized"},
		{asJSON, `{"error":{"code":404,"message":"No such project","status":"NOT_FOUND"}}`, "No such project"},
		{asJSON, `{"error":"invalid_grant","error_description":"The code has expired"}`, "The code has expired"},
		{asJSON, `{"ok":false,"error":"channel_not_found"}`, "channel_not_found"},
		{asJSON, `{"error":true,"msg":"no quota left"}`, "no quota left"},
		{asJSON, `{"errors":[{"title":"Invalid","detail":"The name is too long"}]}`, "The name is too long"},
		{asJSON, `{"errors":[],"errorMessages":["Issue does not exist"]}`, "Issue does not exist"},
		{asJSON, `{"detail":[{"loc":["body","age"],"msg":"value is not a valid integer"}]}`, "value is not a valid integer"},
		{asJSON, `{"error":{"root_cause":[],"reason":"no such index [x]"}}`, "no such index [x]"},
		{asJSON, `{"status":500,"error":"Internal Server Error","message":""}`, "Internal Server Error"},
		{asJSON, `[{"message":"Session expired","errorCode":"INVALID"}]`, "Session expired"},
		{asJSON, `"just this"`, "just this"},
		{"Content-Type: application/vnd.api+json", `{"message":"vendor"}`, "vendor"},
		{"X-None: 1", `{"message":"without a type"}`, "without a type"},
		{asProblem, `{"title":"Out of credit","detail":"30 < 50"}`, "Out of credit: 30 < 50"},
		{asProblem, `{"title":"Out of credit"}`, "Out of credit"},
		{asProblem, `{"detail":"30 < 50"}`, "30 < 50"},
		{asProblem, `{"title":"Bad","detail":"Bad name"}`, "Bad name"},
		{asText, "\n  quota exceeded\nsecond line\n", "quota exceeded"},

		{asJSON, `{"message":"a\n\tb \u0000\u202e c\ufeff"}`, "a b c"},
		{asJSON, `{"message":"see https://ada:pw@docs.example/a?sig=abc or ftp://u@h"}`, "see https://[redacted]@docs.example/a?[redacted] or ftp://[redacted]@h"},
		{asJSON, `{"message":7,"code":"x"}`, ""},
		{asJSON, `{"data":{"message":"not an error's"}}`, ""},
		{asJSON, `{"message":`, ""},
		{asProblem, `[]`, ""},
		{asText, "", ""},
		{"Content-Type: text/html", "<p>message</p>", ""},
	} {
		_, err := get[thing](t, gateway.Config{Transport: reply(400, tt.body, tt.fields)}, gateway.EndpointConfig{})
		e := asError(t, err, gateway.BadStatus)
		text := "gateway: GET /x: status 400 Bad Request"
		if tt.want != "" {
			text += fmt.Sprintf(": %q", tt.want)
		}
		if e.Message != tt.want || err.Error() != text || e.Body != nil && string(e.Body) != tt.body {
			t.Errorf("%s\n says %q\n%v", tt.body, e.Message, err)
		}
		logged := ""
		for _, a := range e.LogValue().Group() {
			if a.Key == "message" {
				logged = a.Value.String()
			}
		}
		if logged != tt.want {
			t.Errorf("%s is logged as %q", tt.body, logged)
		}
	}
	_, err := get[thing](t, gateway.Config{Transport: reply(599, "")}, gateway.EndpointConfig{})
	if err.Error() != "gateway: GET /x: status 599" {
		t.Error(err)
	}
}

// It is bounded, at the end of a character, and stays one line in every form.
func TestServerMessageIsBounded(t *testing.T) {
	for n := range 8 {
		body := `{"message":"` + strings.Repeat("x", n) + strings.Repeat("ü", 40_000) + `"}`
		_, err := get[thing](t, gateway.Config{Transport: reply(400, body, asJSON)}, gateway.EndpointConfig{})
		e := asError(t, err, gateway.BadStatus)
		if len(e.Message) != 0 {
			t.Errorf("a body cut in two says %q", e.Message)
		}
		body = `{"message":"` + strings.Repeat("x", n) + strings.Repeat("ü", 400) + `"}`
		_, err = get[thing](t, gateway.Config{Transport: reply(400, body, asJSON)}, gateway.EndpointConfig{})
		e = asError(t, err, gateway.BadStatus)
		if len(e.Message) > 256 || len(e.Message) < 250 || !utf8.ValidString(e.Message) || !strings.HasSuffix(e.Message, "ü...") {
			t.Errorf("%d bytes: %s", len(e.Message), e.Message)
		}
	}
}

// Whatever a server sends, what it says is one short line without the secrets of
// the request.
func FuzzServerMessage(f *testing.F) {
	for _, s := range []string{`{"message":"x"}`, `{"error":{"errors":[["a"]]}}`, "s3cr3t/token+==", `{"detail":"s3cr3t\/token+=="}`, "a\x00\n\xff", "s\xfb3cr3t/token+==", `{"message":"s3cr3t\u002ftoken+=="}`} {
		for _, m := range []string{"application/json", "application/problem+json", "text/plain"} {
			f.Add(m, s)
		}
	}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		transport := roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := reply(418, body)(req)
			resp.Header["Content-Type"] = []string{contentType}
			return resp, err
		})
		cfg := gateway.Config{Transport: transport, Auth: gateway.APIKey("Authorization", "Bearer s3cr3t/token+==")}
		_, err := getWith[thing](context.Background(), t, cfg, gateway.EndpointConfig{})
		e := asError(t, err, gateway.BadStatus)
		if len(e.Message) > 256 || strings.ContainsAny(e.Message, "\r\n\t\x00") || !utf8.ValidString(e.Message) || strings.Contains(e.Message, "s3cr3t/token+==") {
			t.Errorf("%q", e.Message)
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(string(e.Body), "s3cr3t/token+==") || strings.Contains(string(e.Body), `s3cr3t\/token+==`) {
			t.Errorf("%v, body %q", err, e.Body)
		}
	})
}

// A secret is found in what a server sends back in every usual spelling, and also if
// it went there in a form.
func TestSecretsInOtherSpellings(t *testing.T) {
	const secret = "s3cr3t/<a>+b=="
	type login struct {
		User   string `form:"user"`
		Secret string `form:"client_secret"`
	}
	for _, echoed := range []string{
		secret, "s3cr3t%2F%3Ca%3E%2Bb%3D%3D", `s3cr3t/\u003ca\u003e+b==`, `s3cr3t\/\u003ca\u003e+b==`, `s3cr3t\/<a>+b==`,
		"s3cr3t/&lt;a&gt;+b==", "s3cr3t/&lt;a&gt;&#43;b==",
	} {
		g := mustNew(t, gateway.Config{Transport: reply(400, "the secret "+echoed+" of ada", "Content-Type: text/plain")})
		_, err := gateway.NewEndpoint[login, gateway.None](g, "POST /token", gateway.EndpointConfig{}).Call(t.Context(), login{"ada", secret})
		e := asError(t, err, gateway.BadStatus)
		if strings.Contains(string(e.Body)+err.Error(), "s3cr3t") || e.Message != "the secret [redacted] of ada" {
			t.Errorf("%s: %v, body %s", echoed, err, e.Body)
		}
	}
}

var _ slog.LogValuer = (*gateway.Error)(nil)

// A limit that says so in its own way is waited for, if the request may be repeated.
func TestRetryAfterOfAGateway(t *testing.T) {
	const github = "X-Ratelimit-Remaining: 0"
	for _, tt := range []struct {
		name, method string
		transport    roundTripper
		after        time.Duration
		retryable    bool
	}{
		{"limited", "GET", reply(403, "", github, "X-Ratelimit-Reset: 60"), time.Minute, true},
		{"limited", "POST", reply(403, "", github, "X-Ratelimit-Reset: 60"), time.Minute, false},
		{"forbidden", "GET", reply(403, "", "X-Ratelimit-Remaining: 7", "X-Ratelimit-Reset: 60"), 0, false},
		{"overloaded", "GET", reply(503, "", "Retry-After: 7"), 7 * time.Second, true},
		{"moved", "GET", reply(409, "", "Retry-After: 7"), 7 * time.Second, false},
	} {
		for _, limited := range []func(*http.Response) time.Duration{nil, gateway.RateLimited} {
			after, retryable := tt.after, tt.retryable
			if limited == nil && tt.name == "limited" {
				after, retryable = 0, false
			}
			g := mustNew(t, gateway.Config{Transport: tt.transport, RetryAfter: limited})
			_, err := gateway.NewEndpoint[gateway.None, gateway.None](g, tt.method+" /x", gateway.EndpointConfig{}).Call(t.Context(), none)
			if e := asError(t, err, gateway.BadStatus); e.RetryAfter() != after || e.Retryable() != retryable {
				t.Errorf("%s, %s, set %t: after %v, retryable %t", tt.name, tt.method, limited != nil, e.RetryAfter(), e.Retryable())
			}
		}
	}
}
