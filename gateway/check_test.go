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

// Each pointer on the way to the value is looked at. A null is no success by itself: it is
// checked as the zero value is.
func TestCheckResponseBehindPointers(t *testing.T) {
	for body, want := range map[string]struct{ envelope, graphQL bool }{ // whether it is an error
		`{"ok":false,"error":"e","errors":[{}]}`: {true, true},
		`{"ok":true}`:                            {false, false},
		`null`:                                   {true, false},
		`{}`:                                     {true, false},
	} {
		_, none := answered[members](t, body)
		_, one := answered[*members](t, body)
		_, two := answered[**members](t, body)
		for i, err := range []error{none, one, two} {
			if (err != nil) != want.envelope {
				t.Errorf("%s, %d pointers: %v", body, i, err)
			}
			if want.envelope {
				asError(t, err, gateway.Unsuccessful)
			}
		}
		v, err := answered[*graphQL[int]](t, body)
		if (err != nil) != want.graphQL || (v == nil) != (body == "null" || want.graphQL) {
			t.Errorf("%s: %v, %v", body, v, err)
		}
	}
	// There is nothing to check in what is not decoded.
	for _, status := range []int{204, 205} {
		if _, err := get[members](t, gateway.Config{Transport: reply(status, "")}, gateway.EndpointConfig{}); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// Envelope is one that is embedded as a pointer, and in another that is, too.
type Envelope struct {
	OK bool `json:"ok"`
}

func (e Envelope) CheckResponse() error {
	if !e.OK {
		return errors.New("not ok")
	}
	return nil
}

type Page struct {
	*Envelope
	Next string
}

// Tree embeds itself, and another.
type Tree struct {
	*Tree
	*Envelope
}

func (t Tree) CheckResponse() error { return t.Envelope.CheckResponse() }

// A response that leaves out what an embedded pointer is for is checked, and no panic.
func TestCheckResponseOfAnEmbeddedPointer(t *testing.T) {
	type users struct {
		*Page
		Names []string
	}
	if v, err := answered[Tree](t, `{"Tree":{}}`); err == nil || v.Tree != nil {
		t.Errorf("%v, %v", v, err)
	}
	for body, ok := range map[string]bool{`{}`: false, `null`: false, `{"Names":["ada"]}`: false, `{"Next":"2"}`: false, `{"ok":true}`: true} {
		_, one := answered[users](t, body)
		_, two := answered[*users](t, body)
		_, three := answered[Page](t, body)
		for i, err := range []error{one, two, three} {
			if (err == nil) != ok {
				t.Errorf("%s, %d: %v", body, i, err)
			}
			if !ok {
				asError(t, err, gateway.Unsuccessful)
			}
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
