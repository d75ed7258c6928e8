package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway"
)

// reply makes a transport that answers all requests alike, from "name: value" fields.
func reply(status int, body string, fields ...string) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			io.Copy(io.Discard, req.Body)
			req.Body.Close()
		}
		resp := &http.Response{
			StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
			ContentLength: int64(len(body)), Request: req,
		}
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			resp.Header.Add(name, value)
		}
		return resp, nil
	}
}

const asJSON = "Content-Type: application/json"

// record keeps the requests, with their bodies, that it hands on.
type record struct {
	base     http.RoundTripper
	requests []*http.Request
	bodies   []string
}

func (r *record) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		req.Body.Close()
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	r.requests, r.bodies = append(r.requests, req), append(r.bodies, body)
	out := req.Clone(req.Context())
	out.Body = io.NopCloser(strings.NewReader(body))
	return r.base.RoundTrip(out)
}

func mustNew(t testing.TB, cfg gateway.Config) *gateway.Gateway {
	t.Helper()
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://api.example/v2"
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// sent makes one call of an endpoint and returns the request that it sends, and its body.
func sent[Req any](t testing.TB, pattern string, in Req, cfg gateway.EndpointConfig) (*http.Request, string, error) {
	t.Helper()
	r := &record{base: reply(204, "")}
	e := gateway.NewEndpoint[Req, gateway.None](mustNew(t, gateway.Config{Transport: r}), pattern, cfg)
	_, err := e.Call(t.Context(), in)
	if len(r.requests) == 0 {
		return nil, "", err
	}
	return r.requests[0], r.bodies[0], err
}

// get makes one call of "GET /x" to a transport and returns the value.
func get[Resp any](t testing.TB, cfg gateway.Config, endpoint gateway.EndpointConfig) (Resp, error) {
	t.Helper()
	return getWith[Resp](t.Context(), t, cfg, endpoint)
}

func getWith[Resp any](ctx context.Context, t testing.TB, cfg gateway.Config, endpoint gateway.EndpointConfig) (Resp, error) {
	t.Helper()
	return gateway.NewEndpoint[gateway.None, Resp](mustNew(t, cfg), "GET /x", endpoint).Call(ctx, gateway.None{})
}

// asError returns the *gateway.Error in err and fails the test unless it is of kind.
func asError(t testing.TB, err error, kind gateway.ErrorKind) *gateway.Error {
	t.Helper()
	e, ok := errors.AsType[*gateway.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("the error is %v, want one of the kind %q", err, kind)
	}
	return e
}

// panicOf returns what f panics with, as a string, or "".
func panicOf(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return ""
}

// body is one that tells whether it has been closed.
type body struct {
	io.Reader
	closed int
}

func (b *body) Close() error {
	b.closed++
	return nil
}

func newBody(s string) *body { return &body{Reader: bytes.NewBufferString(s)} }

// replyWith makes a transport that answers once, with JSON from b.
func replyWith(b *body) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := reply(200, "", asJSON)(req)
		resp.Body, resp.ContentLength = b, -1
		return resp, err
	}
}
