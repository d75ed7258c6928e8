package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/memhttp"
)

type thing struct{ Name string }

func TestResponses(t *testing.T) {
	const asText, asForm = "Content-Type: text/plain; charset=utf-8", "Content-Type: application/x-www-form-urlencoded"
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	for _, contentType := range []string{
		asJSON, "Content-Type: application/json; charset=utf-8", "Content-Type: APPLICATION/JSON ;a=b",
		"Content-Type: application/vnd.code.v3+json", "X-None: 1",
	} {
		v, err := get[thing](t, gateway.Config{Transport: reply(200, `{"name":"x"}`, contentType)}, gateway.EndpointConfig{})
		if ok(err); v.Name != "x" {
			t.Errorf("%s: %+v", contentType, v)
		}
	}
	s, err := get[string](t, gateway.Config{Transport: reply(200, "text", asText)}, gateway.EndpointConfig{})
	if ok(err); s != "text" {
		t.Errorf("%q", s)
	}
	b, err := get[[]byte](t, gateway.Config{Transport: reply(200, "<html>", "Content-Type: text/html")}, gateway.EndpointConfig{})
	if ok(err); string(b) != "<html>" {
		t.Errorf("%q", b)
	}
	form, err := get[url.Values](t, gateway.Config{Transport: reply(200, "a=1&b=2", asForm)}, gateway.EndpointConfig{})
	if ok(err); form.Get("b") != "2" {
		t.Errorf("%v", form)
	}
	_, err = get[gateway.None](t, gateway.Config{Transport: reply(200, "<html>", "Content-Type: text/html")}, gateway.EndpointConfig{})
	ok(err)
	p, err := get[*thing](t, gateway.Config{Transport: reply(204, "")}, gateway.EndpointConfig{})
	if ok(err); p != nil {
		t.Errorf("a 204 is %v", p)
	}
	v, err := get[any](t, gateway.Config{Transport: reply(201, `[1]`, asJSON)}, gateway.EndpointConfig{})
	if ok(err); len(v.([]any)) != 1 {
		t.Errorf("%v", v)
	}
	v2, err := get[thing](t, gateway.Config{Transport: reply(200, `{"name":"x"}`, "Content-Type: text/javascript")},
		gateway.EndpointConfig{Codec: gateway.Codec{Accepts: []string{"Text/JavaScript"}}})
	if ok(err); v2.Name != "x" {
		t.Errorf("%+v", v2)
	}
	v2, err = get[thing](t, gateway.Config{Transport: reply(200, `{"name":"x"}`, "Content-Type: image/png")},
		gateway.EndpointConfig{Codec: gateway.Codec{Accepts: []string{"*/*"}}})
	if ok(err); v2.Name != "x" {
		t.Errorf("%+v", v2)
	}
}

// What is asked for, and that a header of the gateway's or of Req comes first.
func TestAccept(t *testing.T) {
	r := &record{base: reply(204, "")}
	none := gateway.EndpointConfig{}
	g := mustNew(t, gateway.Config{Transport: r})
	gateway.NewEndpoint[gateway.None, thing](g, "GET /x", none).Call(t.Context(), gateway.None{})
	gateway.NewEndpoint[gateway.None, string](g, "GET /x", none).Call(t.Context(), gateway.None{})
	gateway.NewEndpoint[gateway.None, []byte](g, "GET /x", none).Call(t.Context(), gateway.None{})
	g = mustNew(t, gateway.Config{Transport: r, Header: http.Header{"Accept": {"application/vnd.x+json"}, "X-Version": {"1"}}})
	gateway.NewEndpoint[gateway.None, thing](g, "GET /x", none).Call(t.Context(), gateway.None{})
	type version struct {
		Version string `header:"X-Version"`
	}
	gateway.NewEndpoint[version, thing](g, "GET /x", none).Call(t.Context(), version{"2"})
	for i, want := range []string{"application/json", "text/plain", "", "application/vnd.x+json", "application/vnd.x+json"} {
		if got := r.requests[i].Header.Get("Accept"); got != want {
			t.Errorf("request %d asks for %q, want %q", i, got, want)
		}
	}
	if got := r.requests[4].Header["X-Version"]; len(got) != 1 || got[0] != "2" {
		t.Errorf("X-Version is %q", got)
	}
}

// A page of a captive portal with the status 200 is an error, not a zero value.
func TestWrongContentType(t *testing.T) {
	page := "<html>" + strings.Repeat("ü", 5000)
	_, err := get[thing](t, gateway.Config{Transport: reply(200, page, "Content-Type: text/html")}, gateway.EndpointConfig{})
	e := asError(t, err, gateway.WrongContentType)
	if e.Status != 200 || string(e.Body) != page || e.Retryable() || !e.Sent {
		t.Errorf("%+v", *e)
	}
	if text := err.Error(); !strings.Contains(text, `"text/html", which begins with "<html>ü`) || len(text) > 600 {
		t.Errorf("the text has %d bytes: %s", len(text), text)
	}
	_, err = get[string](t, gateway.Config{Transport: reply(200, page, "Content-Type: text/html")}, gateway.EndpointConfig{})
	asError(t, err, gateway.WrongContentType)
	_, err = get[io.ReadCloser](t, gateway.Config{Transport: reply(404, "")}, gateway.EndpointConfig{})
	asError(t, err, gateway.BadStatus)
}

func TestUndecodable(t *testing.T) {
	for _, body := range []string{"", "{", `{"name":1}`, `{"name":"x"} {}`, "<html>"} {
		v, err := get[thing](t, gateway.Config{Transport: reply(200, body, asJSON)}, gateway.EndpointConfig{})
		if asError(t, err, gateway.Undecodable); v != (thing{}) {
			t.Errorf("%q: %v", body, v)
		}
	}
	_, err := get[thing](t, gateway.Config{Transport: reply(200, "x", asJSON, "Content-Encoding: br")}, gateway.EndpointConfig{})
	asError(t, err, gateway.Undecodable)
	_, err = get[thing](t, gateway.Config{Transport: reply(200, "no gzip at all", asJSON, "Content-Encoding: gzip")}, gateway.EndpointConfig{})
	asError(t, err, gateway.Undecodable)
}

// The time includes the body; one that breaks off is no other error.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 10 {
				io.WriteString(w, "          ")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
			io.WriteString(w, "{}")
		}))
		for _, tt := range []struct {
			cfg, endpoint, want time.Duration // 0: it succeeds
		}{
			{5 * time.Second, 0, 5 * time.Second},
			{5 * time.Second, 20 * time.Second, 0},
			{time.Minute, 3 * time.Second, 3 * time.Second},
			{5 * time.Second, -1, 0},
			{0, 0, 0},
		} {
			begin := time.Now()
			_, err := get[any](t, gateway.Config{BaseURL: srv.URL(), Transport: srv.Transport(), Timeout: tt.cfg}, gateway.EndpointConfig{Timeout: tt.endpoint})
			if tt.want == 0 {
				if err != nil {
					t.Errorf("%v: %v", tt, err)
				}
				continue
			}
			e := asError(t, err, gateway.Incomplete)
			if took := time.Since(begin); took != tt.want || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) || e.Status != 200 {
				t.Errorf("%v: after %v %v (timeout %t)", tt, took, e, e.Timeout())
			}
		}
	})
}
