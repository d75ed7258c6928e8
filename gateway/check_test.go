package gateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
)

// envelope is what an API like Slack's wraps around all that it answers.
type envelope struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

func (e envelope) CheckResponse() error {
	if !e.OK {
		return fmt.Errorf("chat: %s", e.Error)
	}
	return nil
}

type members struct {
	envelope
	Members []string `json:"members"`
}

// graphQL has its method on the pointer, and an error that says more.
type graphQL[T any] struct {
	Data   T              `json:"data"`
	Errors []graphQLError `json:"errors"`
}

type graphQLError struct{ Message string }

func (e graphQLError) Error() string             { return e.Message }
func (e graphQLError) Retryable() bool           { return e.Message == "busy" }
func (e graphQLError) RetryAfter() time.Duration { return 3 * time.Second }

func (g *graphQL[T]) CheckResponse() error {
	if len(g.Errors) > 0 {
		return g.Errors[0]
	}
	return nil
}

func answered[Resp any](t *testing.T, body string) (Resp, error) {
	t.Helper()
	return get[Resp](t, gateway.Config{Transport: reply(200, body, asJSON)}, gateway.EndpointConfig{})
}

// A success that is none is an error, with all that an error has.
func TestCheckResponse(t *testing.T) {
	v, err := answered[members](t, `{"ok":true,"members":["ada"]}`)
	if err != nil || len(v.Members) != 1 {
		t.Errorf("%v, %v", v, err)
	}
	v, err = answered[members](t, `{"ok":false,"error":"not_in_channel","members":["ada"]}`)
	e := asError(t, err, gateway.Unsuccessful)
	if err.Error() != "gateway: GET /x: unsuccessful, status 200 OK: chat: not_in_channel" || v.Members != nil {
		t.Errorf("%v, %+v", err, v)
	}
	if e.Status != 200 || !e.Sent || e.Rejected() || e.Retryable() || e.Message != "not_in_channel" || e.Header.Get("Content-Type") == "" {
		t.Errorf("%+v", *e)
	}
	if own, ok := gateway.ErrorAs[envelope](err); !ok || own.Error != "not_in_channel" {
		t.Errorf("%+v, %t, body %q", own, ok, e.Body)
	}

	_, err = answered[graphQL[int]](t, `{"data":1,"errors":[{"message":"busy"}]}`)
	if e := asError(t, err, gateway.Unsuccessful); !e.Retryable() || e.RetryAfter() != 3*time.Second {
		t.Errorf("%v is retryable: %t, after %v", e, e.Retryable(), e.RetryAfter())
	}
	if own, ok := errors.AsType[graphQLError](err); !ok || own.Message != "busy" {
		t.Errorf("%v", err)
	}
	_, err = answered[graphQL[int]](t, `{"errors":[{"message":"no such field"}]}`)
	if e := asError(t, err, gateway.Unsuccessful); e.Retryable() {
		t.Errorf("%v is retryable", e)
	}
	g := mustNew(t, gateway.Config{Transport: reply(200, `{"errors":[{"message":"busy"}]}`, asJSON)})
	_, err = gateway.NewEndpoint[string, graphQL[int]](g, "POST /graphql", gateway.EndpointConfig{}).Call(t.Context(), "query")
	if e := asError(t, err, gateway.Unsuccessful); e.Retryable() {
		t.Error("a POST that has been made is retryable")
	}
}

// Each pointer on the way to the value is looked at, and nil is no value.
func TestCheckResponseBehindPointers(t *testing.T) {
	for _, body := range []string{`{"ok":false,"error":"e"}`, `{"ok":true}`, `null`} {
		want := strings.Contains(body, "false")
		_, one := answered[*members](t, body)
		_, two := answered[**members](t, body)
		_, onPointer := answered[*graphQL[int]](t, strings.ReplaceAll(body, `"ok":false`, `"errors":[{}]`))
		for i, err := range []error{one, two, onPointer} {
			if (err != nil) != want {
				t.Errorf("%s, %d: %v", body, i, err)
			}
			if want {
				asError(t, err, gateway.Unsuccessful)
			}
		}
	}
	// There is nothing to check in what is not decoded.
	for _, status := range []int{204, 205} {
		if _, err := get[members](t, gateway.Config{Transport: reply(status, "")}, gateway.EndpointConfig{}); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// It may panic; the call is over then, and its body closed.
type panicking struct{}

func (panicking) CheckResponse() error { panic("boom") }

func TestCheckResponsePanics(t *testing.T) {
	b := newBody(`{}`)
	transport := roundTripper(replyWith(b))
	if text := panicOf(func() { get[panicking](t, gateway.Config{Transport: transport}, gateway.EndpointConfig{}) }); text != "boom" || b.closed == 0 {
		t.Errorf("%q, closed %d times", text, b.closed)
	}
}

// What CheckResponse says shows no secret that the server has sent back.
func TestCheckResponseShowsNoSecrets(t *testing.T) {
	cfg := gateway.Config{Transport: reply(200, `{"error":"no access with s3cr3t-key"}`, asJSON), Auth: gateway.APIKey("X-Key", "s3cr3t-key")}
	_, err := get[members](t, cfg, gateway.EndpointConfig{})
	e := asError(t, err, gateway.Unsuccessful)
	canary(t, "unsuccessful", err)
	if strings.Contains(string(e.Body), "s3cr3t") {
		t.Errorf("%s", e.Body)
	}
}
