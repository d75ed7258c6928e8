package gateway_test

import (
	"context"
	"crypto/x509"
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// refusal is what a layer of this process says.
type refusal struct{ error }

func (refusal) Rejected() bool { return true }

// elsewhere is the refusal of one that has other ways to go.
type elsewhere struct{ refusal }

func (elsewhere) Retryable() bool { return true }

// final is what a retry below says.
type final struct{ error }

func (final) Retryable() bool { return false }

func failing(err error) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
}

// What the methods of an Error tell the layers above.
func TestErrorMethods(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for _, tt := range []struct {
		name      string
		transport roundTripper
		method    string
		kind      gateway.ErrorKind
		// What the methods say.
		sent, rejected, retryable, timeout bool
		after                              time.Duration
	}{
		{"reset", failing(errors.New("reset")), "GET", gateway.NoResponse, true, false, true, false, 0},
		{"reset", failing(errors.New("reset")), "POST", gateway.NoResponse, true, false, false, false, 0},
		{"dial", failing(dial), "GET", gateway.NoResponse, false, false, true, false, 0},
		{"dial", failing(dial), "POST", gateway.NoResponse, false, false, true, false, 0},
		{"dial, after an attempt that was sent", failing(fmt.Errorf("gave up: %w (%w)", dial, errX)), "POST", gateway.NoResponse, true, false, false, false, 0},
		{"refused", failing(fmt.Errorf("open: %w", refusal{errors.New("x")})), "POST", gateway.Refused, false, true, false, false, 0},
		{"refused", failing(elsewhere{refusal{errors.New("x")}}), "POST", gateway.Refused, false, true, true, false, 0},
		{"retried", failing(final{errors.New("x")}), "GET", gateway.NoResponse, true, false, false, false, 0},
		{"deadline", failing(context.DeadlineExceeded), "PUT", gateway.NoResponse, true, false, true, true, 0},
		{"canceled", failing(context.Canceled), "GET", gateway.NoResponse, true, false, true, false, 0},
		{"neither", failing(nil), "GET", gateway.NoResponse, true, false, true, false, 0},
		{"400", reply(400, ""), "GET", gateway.BadStatus, true, false, false, false, 0},
		{"500", reply(500, ""), "GET", gateway.BadStatus, true, false, false, false, 0},
		{"503", reply(503, "", "Retry-After: 7"), "GET", gateway.BadStatus, true, false, true, false, 7 * time.Second},
		{"503", reply(503, "", "Retry-After: 7"), "POST", gateway.BadStatus, true, false, false, false, 7 * time.Second},
		{"429", reply(429, "", "Retry-After: 99999999999"), "DELETE", gateway.BadStatus, true, false, true, false, 0},
		{"304", reply(304, ""), "GET", gateway.BadStatus, true, false, false, false, 0},
	} {
		t.Run(tt.name+" "+tt.method, func(t *testing.T) {
			g := mustNew(t, gateway.Config{Transport: tt.transport})
			_, err := gateway.NewEndpoint[gateway.None, gateway.None](g, tt.method+" /x", gateway.EndpointConfig{}).Call(t.Context(), gateway.None{})
			e := asError(t, err, tt.kind)
			if e.Sent != tt.sent || e.Rejected() != tt.rejected || e.Retryable() != tt.retryable || e.Timeout() != tt.timeout || e.RetryAfter() != tt.after {
				t.Errorf("%v: sent %t, rejected %t, retryable %t, timeout %t, after %v; want %+v", e, e.Sent, e.Rejected(), e.Retryable(), e.Timeout(), e.RetryAfter(), tt)
			}
			if e.HTTPStatusCode() != e.Status || e.Endpoint != tt.method+" /x" {
				t.Errorf("%+v", *e)
			}
		})
	}
}

// The cause is found, and never twice wrapped in a *url.Error.
func TestErrorUnwraps(t *testing.T) {
	cause := x509.UnknownAuthorityError{}
	_, err := get[thing](t, gateway.Config{Transport: failing(cause)}, gateway.EndpointConfig{})
	if e := asError(t, err, gateway.NoResponse); e.Err.Error() != cause.Error() {
		t.Errorf("the cause is %#v", e.Err)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("%v does not wrap its cause", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = getWith[thing](ctx, t, gateway.Config{Transport: reply(204, "")}, gateway.EndpointConfig{})
	if e := asError(t, err, gateway.NoResponse); e.Sent || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v, sent %t", err, e.Sent)
	}
}

// RFC 9457, whatever a server makes of it.
func TestProblem(t *testing.T) {
	const asProblem = "Content-Type: application/problem+json; charset=utf-8"
	call := func(status int, body string, fields ...string) *gateway.Error {
		t.Helper()
		_, err := get[thing](t, gateway.Config{Transport: reply(status, body, fields...)}, gateway.EndpointConfig{})
		return asError(t, err, gateway.BadStatus)
	}
	e := call(403, `{"type":"https://e.x/credit","title":"No credit","status":402,"detail":"30 < 50","instance":"/a/1","balance":30,"accounts":["/a"]}`, asProblem)
	p := e.Problem
	if p == nil || p.Type != "https://e.x/credit" || p.Title != "No credit" || p.Status != 402 || p.Detail != "30 < 50" || p.Instance != "/a/1" ||
		string(p.Extensions["balance"]) != "30" || len(p.Extensions) != 2 {
		t.Errorf("%+v", p)
	}
	if text := e.Error(); !strings.HasSuffix(text, `status 403 Forbidden: "No credit: 30 < 50"`) || e.Message != "No credit: 30 < 50" {
		t.Error(text)
	}
	e = call(500, `{"status":"500","title":["x"],"detail":"d"}`, asProblem)
	if p := e.Problem; p == nil || p.Type != "about:blank" || p.Status != 0 || p.Title != "" || p.Detail != "d" || p.Extensions != nil {
		t.Errorf("members of a wrong type: %+v", e.Problem)
	}
	for _, body := range []string{"", "{", "[]", "<html>"} {
		if e := call(500, body, asProblem); e.Problem != nil || string(e.Body) != body {
			t.Errorf("%q is %+v, body %q", body, e.Problem, e.Body)
		}
	}
	if e := call(500, `{"title":"x"}`, asJSON); e.Problem != nil {
		t.Errorf("plain JSON is %+v", e.Problem)
	}
	if e := call(500, `{"title":"a\nb"}`, asProblem); strings.Contains(e.Error(), "\n") {
		t.Errorf("the text has lines: %s", e)
	}
}

// An error body of a proxy's, in another format, is not converted blindly; neither it
// nor the status is lost.
func TestErrorAs(t *testing.T) {
	type apiError struct{ Code string }
	call := func(body string, fields ...string) error {
		_, err := get[thing](t, gateway.Config{Transport: reply(502, body, fields...)}, gateway.EndpointConfig{})
		return err
	}
	if v, ok := gateway.ErrorAs[apiError](fmt.Errorf("more: %w", call(`{"code":"x1"}`, asJSON))); !ok || v.Code != "x1" {
		t.Errorf("%+v, %t", v, ok)
	}
	if v, ok := gateway.ErrorAs[apiError](call(`{"code":"x1"}`)); !ok || v.Code != "x1" {
		t.Errorf("without a content type: %+v, %t", v, ok)
	}
	for _, err := range []error{
		call(`{"code":"x1"}`, "Content-Type: text/html"), call(`{"code":1}`, asJSON), call("", asJSON), errors.New("other"), nil,
	} {
		if v, ok := gateway.ErrorAs[apiError](err); ok || v != (apiError{}) {
			t.Errorf("%v is %+v", err, v)
		}
	}
	err := call("<html>", "Content-Type: text/html")
	if e := asError(t, err, gateway.BadStatus); e.Status != 502 || string(e.Body) != "<html>" {
		t.Errorf("%+v", *e)
	}
}

func TestEvents(t *testing.T) {
	var events []gateway.Event
	type key struct{}
	cfg := gateway.Config{Name: "shop", Transport: reply(404, ""), Observe: func(ctx context.Context, e gateway.Event) {
		if ctx.Value(key{}) != "mine" {
			t.Error("not the caller's context")
		}
		events = append(events, e)
	}}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	_, err := getWith[thing](ctx, t, cfg, gateway.EndpointConfig{Name: "things"})
	cfg.Transport = reply(200, "{}", asJSON)
	getWith[thing](ctx, t, cfg, gateway.EndpointConfig{})
	want := []gateway.Event{
		{Kind: gateway.Ended, Name: "shop", Endpoint: "things", Method: "GET", Status: 404, Err: err},
		{Kind: gateway.Ended, Name: "shop", Endpoint: "GET /x", Method: "GET", Status: 200},
	}
	if d := cmp.Diff(want, events, cmpopts.IgnoreFields(gateway.Event{}, "Elapsed"), cmpopts.EquateErrors()); d != "" {
		t.Error(d)
	}
	if e := asError(t, err, gateway.BadStatus); e.Name != "shop" || err.Error() != `gateway "shop": things: status 404 Not Found` {
		t.Errorf("%v of %q", err, e.Name)
	}
}

// A log shows what applies, and nothing else.
func TestLogValues(t *testing.T) {
	_, missing := get[thing](t, gateway.Config{Name: "shop", Transport: reply(404, "")}, gateway.EndpointConfig{})
	_, lost := get[thing](t, gateway.Config{Transport: failing(errX)}, gateway.EndpointConfig{})
	for _, tt := range []struct {
		value slog.LogValuer
		want  string
	}{
		{asError(t, missing, gateway.BadStatus), `v.kind="bad status" v.name=shop v.endpoint="GET /x" v.sent=true v.status=404 v.error="gateway \"shop\": GET /x: status 404 Not Found"`},
		{asError(t, lost, gateway.NoResponse), `v.kind="no response" v.endpoint="GET /x" v.sent=true v.error="gateway: GET /x: no response: x"`},
		{gateway.Event{Method: "GET", Status: 204, Endpoint: "e", Name: "n", Elapsed: time.Second}, `v.kind=ended v.name=n v.endpoint=e v.method=GET v.status=204 v.elapsed=1s`},
		{gateway.Event{Kind: gateway.Replayed, Method: "GET", Status: 401}, `v.kind=replayed v.method=GET v.status=401`},
		{gateway.Event{Method: "GET", Err: lost}, `v.kind=ended v.method=GET v.elapsed=0s v.err.kind="no response" v.err.endpoint="GET /x" v.err.sent=true v.err.error="gateway: GET /x: no response: x"`},
	} {
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", tt.value)
		if _, got, _ := strings.Cut(strings.TrimSpace(log.String()), "msg=m "); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		value encoding.TextMarshaler
		want  string
	}{
		{gateway.ErrorKind(0), "ErrorKind(0)"}, {gateway.InvalidRequest, "invalid request"}, {gateway.Refused, "refused"},
		{gateway.Undecodable, "undecodable response"}, {gateway.ErrorKind(99), "ErrorKind(99)"},
		{gateway.Ended, "ended"}, {gateway.Replayed, "replayed"}, {gateway.Kind(9), "Kind(9)"},
	} {
		if text, err := tt.value.MarshalText(); string(text) != tt.want || fmt.Sprint(tt.value) != tt.want || err != nil {
			t.Errorf("%q, %v, %q; want %q", text, tt.value, err, tt.want)
		}
	}
}

// What becomes of a redirect does not undo that the system has got the request.
func TestSentBeforeARedirect(t *testing.T) {
	for _, second := range []error{elsewhere{refusal{errX}}, &net.OpError{Op: "dial", Err: errX}, errX} {
		g := mustNew(t, gateway.Config{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == "POST" {
				return reply(http.StatusSeeOther, "", "Location: /v2/done")(req)
			}
			return nil, second
		})})
		_, err := gateway.NewEndpoint[string, gateway.None](g, "POST /x", gateway.EndpointConfig{}).Call(t.Context(), "order")
		if e, ok := errors.AsType[*gateway.Error](err); !ok || !e.Sent || e.Retryable() || e.Rejected() {
			t.Errorf("%v: sent %t, retryable %t", err, e.Sent, e.Retryable())
		}
	}
}
