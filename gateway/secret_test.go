package gateway_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/google/go-cmp/cmp"
)

// render returns v in every form in which programs print values.
func render(v any) string {
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	text, _ := json.Marshal(v)
	var s strings.Builder
	s.WriteString(fmt.Sprintf("%v\n%+v\n%#v\n%s\n%q\n%s\n%s", v, v, v, v, v, text, log.String()))
	if err, ok := v.(error); ok {
		for err = errors.Unwrap(err); err != nil; err = errors.Unwrap(err) {
			s.WriteString(fmt.Sprintf("\n%v %+v", err, err))
		}
	}
	return s.String()
}

// canary fails the test if what is rendered has a secret in it, also in the forms in
// which it was sent.
func canary(t *testing.T, where string, values ...any) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte("ada:s3cr3t-word"))
	for _, v := range values {
		text := render(v)
		for _, secret := range []string{"s3cr3t", basic, basic[:12]} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s: %T shows %q: ...%s...", where, v, secret, text[max(0, i-80):min(len(text), i+40)])
			}
		}
	}
}

// echo sends back all that it has got, in the body, a field and a cookie.
func echo(status int, contentType string) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		page := fmt.Sprintf("<p>%s %s</p>", req.URL, req.URL.Query())
		for name, values := range req.Header {
			page += fmt.Sprintf("<p>%s: %s</p>", name, values)
		}
		_, password, _ := req.BasicAuth()
		page += password
		if strings.Contains(contentType, "problem") {
			text, _ := json.Marshal(map[string]string{"title": page, "detail": page, "other": page})
			page = string(text)
		}
		return reply(status, page, "Content-Type: "+contentType, "X-Echo: "+req.Header.Get("Authorization"),
			"Set-Cookie: sid=s3cr3t-sid", "Www-Authenticate: Bearer token="+strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))(req)
	}
}

type secrets struct {
	Key   string `header:"X-Tenant-Key"`
	Query string `query:"password"`
}

// queryKey is an Auth of one's own.
type queryKey struct{}

func (queryKey) Apply(_ context.Context, req *http.Request) error {
	q := req.URL.Query()
	q.Set("api_key", "s3cr3t/query key")
	req.URL.RawQuery = q.Encode()
	return nil
}

func (queryKey) Identity(context.Context) string { return "me" }

func auths() map[string]gateway.Auth {
	return map[string]gateway.Auth{
		"none":  nil,
		"key":   gateway.APIKey("X-Api-Key", "s3cr3t-key"),
		"odd":   gateway.APIKey("X-Odd", "s3cr3t-odd"),
		"basic": gateway.Basic("ada", "s3cr3t-word"),
		"query": queryKey{},
		"bearer": gateway.Bearer(gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
			return "s3cr3t-token", time.Time{}, nil
		}}),
	}
}

// Whatever goes wrong, and whatever the server says back, no secret of the request is
// in an error or an event.
func TestNoSecrets(t *testing.T) {
	clientBelow := roundTripper(func(req *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("below: %w", &url.Error{Op: "Get", URL: req.URL.String(), Err: errors.New("reset")})
	})
	for name, auth := range auths() {
		for what, transport := range map[string]roundTripper{
			"error page":      echo(500, "text/html"),
			"error JSON":      echo(500, "application/json"),
			"problem":         echo(422, "application/problem+json"),
			"unauthorized":    echo(401, "text/plain"),
			"wrong type":      echo(200, "text/html"),
			"undecodable":     echo(200, "application/json"),
			"no response":     failing(errors.New("reset")),
			"client below":    clientBelow,
			"broken redirect": reply(302, "", "Location: http://s3cr3t.example/%zz?s3cr3t"),
			"redirect":        reply(302, "", "Location: https://ada:s3cr3t@evil.example/?s3cr3t=s3cr3t"),
			"bad status":      reply(500, "", "Location: https://api.example/"),
		} {
			var events []gateway.Event
			g := mustNew(t, gateway.Config{Transport: transport, Auth: auth, Observe: func(_ context.Context, e gateway.Event) { events = append(events, e) },
				Header: http.Header{"Cookie": {"sid=s3cr3t-cookie"}}})
			e := gateway.NewEndpoint[secrets, time.Time](g, "GET /x", gateway.EndpointConfig{})
			v, err := e.Call(t.Context(), secrets{"s3cr3t-header", "s3cr3t-query"})
			if err == nil {
				t.Fatalf("%s, %s: %v", name, what, v)
			}
			failure, _ := errors.AsType[*gateway.Error](err)
			where := name + ", " + what
			canary(t, where, err, g, e, auth)
			for _, event := range events {
				canary(t, where, event, &event)
			}
			if failure.Status != 0 { // the body, too, though the query's own values may be in it
				raw := fmt.Sprintf("%s %+v", failure.Body, failure.Problem)
				for _, secret := range []string{"s3cr3t-key", "s3cr3t-odd", "s3cr3t-word", "s3cr3t-token", "s3cr3t-cookie", "s3cr3t-header", "s3cr3t/query", "s3cr3t%2Fquery"} {
					if strings.Contains(raw, secret) {
						t.Errorf("%s: the body shows %q: %s", where, secret, raw)
					}
				}
			}
			if cookies := failure.Header["Set-Cookie"]; cookies != nil {
				t.Errorf("%s: the error has the cookies %q", where, cookies)
			}
			canary(t, where, failure.Header)
		}
	}
}

// An error about a request that cannot be made does not show the values either.
func TestNoSecretsInInvalidRequests(t *testing.T) {
	_, _, err := sent(t, "GET /x", secrets{"s3cr3t\r\nX: y", "s3cr3t"}, gateway.EndpointConfig{})
	asError(t, err, gateway.InvalidRequest)
	canary(t, "header", err)
	_, _, err = sent(t, "GET /{x}", "s3cr3t/../x", gateway.EndpointConfig{})
	asError(t, err, gateway.InvalidRequest)
	canary(t, "path", err)
	for name, auth := range map[string]gateway.Auth{
		"newline": gateway.APIKey("X-Api-Key", "s3cr3t\n"), "field": gateway.APIKey("X Api", "s3cr3t"), "empty": gateway.APIKey("X-Api-Key", ""),
		"bearer": gateway.Bearer(gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) { return "s3cr3t\n", time.Time{}, nil }}),
	} {
		_, err := get[gateway.None](t, gateway.Config{Auth: wrapped{auth}, Transport: reply(204, "")}, gateway.EndpointConfig{})
		e := asError(t, err, gateway.NoCredentials)
		if canary(t, name, err, auth); e.Sent {
			t.Errorf("%s: sent", name)
		}
	}
	key := idempotent(t, gateway.WithIdempotencyKey(t.Context(), "s3cr3t\n"))
	asError(t, key, gateway.InvalidRequest)
	canary(t, "key", key)
}

func idempotent(t *testing.T, ctx context.Context) error {
	t.Helper()
	g := mustNew(t, gateway.Config{Transport: reply(204, "")})
	_, err := gateway.NewEndpoint[gateway.None, gateway.None](g, "POST /x", gateway.EndpointConfig{IdempotencyKey: true}).Call(ctx, gateway.None{})
	return err
}

// A secret that the limit of an error's body cuts in two is not shown by half.
func TestNoHalfSecrets(t *testing.T) {
	for cut := range 12 {
		page := strings.Repeat("x", 64<<10-cut) + "Bearer s3cr3t-token"
		auth := auths()["bearer"]
		_, err := get[gateway.None](t, gateway.Config{Auth: auth, Transport: reply(500, page)}, gateway.EndpointConfig{})
		e := asError(t, err, gateway.BadStatus)
		if tail := strings.TrimLeft(string(e.Body), "x"); strings.Contains(tail, "Bearer s3c") || strings.Contains(tail, "s3cr") {
			t.Errorf("cut at %d: %q", cut, tail)
		}
	}
}

// What one call, or a layer below it, does with the parts of its request and response does
// not show in another call.
func TestCallsDoNotShare(t *testing.T) {
	var got http.Header
	spoil := roundTripper(func(req *http.Request) (*http.Response, error) {
		got = req.Header.Clone()
		req.Header.Set("X-Version", "spoilt")
		req.Header.Add("Accept", "spoilt")
		req.URL.Path = "/spoilt"
		return reply(200, "text")(req)
	})
	header := http.Header{"X-Version": {"1"}, "Accept": {"text/plain"}}
	e := gateway.NewEndpoint[gateway.None, []byte](mustNew(t, gateway.Config{Transport: spoil, Header: header}), "GET /x", gateway.EndpointConfig{})
	for range 3 {
		text, err := e.Call(t.Context(), gateway.None{})
		if err != nil || string(text) != "text" || got.Get("X-Version") != "1" || len(got["Accept"]) != 1 {
			t.Errorf("%q, %v, sent with %v", text, err, got)
		}
		copy(text, "----")
		header.Set("X-Version", "2")
	}
}

// What Auth adds does not show in Response.Request, also where a layer below has sent a
// request of its own; what that has added does.
func TestCredentialsAreNotInTheResponse(t *testing.T) {
	for name, auth := range map[string]gateway.Auth{
		"header": gateway.APIKey("X-Api-Key", "0123456789"),
		"basic":  gateway.Basic("user", "0123456789"),
	} {
		g, err := gateway.New(gateway.Config{BaseURL: "http://shop.test", Auth: auth, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			signed := r.Clone(r.Context())
			signed.Header.Set("X-Trace", "1")
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: signed}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest("GET", "http://shop.test/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Mine", "yes")
		resp, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		want := http.Header{"X-Trace": {"1"}, "X-Mine": {"yes"}}
		if diff := cmp.Diff(want, resp.Request.Header); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
