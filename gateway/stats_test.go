package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/google/go-cmp/cmp"
)

var errFull = refusal{errors.New("full")}

// renewed is an Auth that has other credentials after a 401.
type renewed struct{ n atomic.Int64 }

func (r *renewed) Apply(_ context.Context, req *http.Request) error {
	if r.n.Load() < 0 {
		return errors.New("the token server is down")
	}
	req.Header.Set("X-Key", fmt.Sprint(r.n.Add(1)))
	return nil
}
func (r *renewed) Identity(context.Context) string                    { return "me" }
func (r *renewed) Stale(ctx context.Context, sent *http.Request) bool { return true }

func TestStats(t *testing.T) {
	auth := &renewed{}
	var answer http.RoundTripper
	g := mustNew(t, gateway.Config{
		Name: "hub", Auth: auth,
		Transport:  roundTripper(func(req *http.Request) (*http.Response, error) { return answer.RoundTrip(req) }),
		RetryAfter: func(resp *http.Response) time.Duration { return time.Duration(len(resp.Header["X-Limit"])) },
	})
	get := gateway.NewEndpoint[string, thing](g, "GET /things/{name}", gateway.EndpointConfig{Name: "get"})
	read := gateway.NewEndpoint[gateway.None, io.ReadCloser](g, "GET /all", gateway.EndpointConfig{MaxResponseBytes: 3})
	gateway.NewEndpoint[string, gateway.None](g, "DELETE /things/{name}", gateway.EndpointConfig{Name: "get"}) // counts with the first

	want := []gateway.EndpointStats{{Endpoint: "get"}, {Endpoint: "GET /all"}}
	check := func(what string) {
		t.Helper()
		if diff := cmp.Diff(gateway.Stats{Name: "hub", Endpoints: want}, g.Stats()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("new")
	answers := func(status int, body string, fields ...string) roundTripper {
		return reply(status, body, append(fields, asJSON)...)
	}
	fails := func(err error) roundTripper {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		what   string
		ctx    context.Context
		name   string
		answer roundTripper
		count  gateway.EndpointStats
	}{
		{"a success", t.Context(), "a", answers(200, `{}`), gateway.EndpointStats{Calls: 1}},
		{"a value that cannot be sent", t.Context(), "..", answers(200, `{}`), gateway.EndpointStats{Refused: 1}},
		{"a context that has ended", gone, "a", answers(200, `{}`), gateway.EndpointStats{Refused: 1}},
		{"refused below", t.Context(), "a", fails(errFull), gateway.EndpointStats{Refused: 1}},
		{"no response", t.Context(), "a", fails(io.ErrUnexpectedEOF), gateway.EndpointStats{Calls: 1, Failed: 1}},
		{"a bad status", t.Context(), "a", answers(404, ``), gateway.EndpointStats{Calls: 1, Failed: 1}},
		{"no JSON", t.Context(), "a", answers(200, `{`), gateway.EndpointStats{Calls: 1, Failed: 1}},
		{"429", t.Context(), "a", answers(429, ``), gateway.EndpointStats{Calls: 1, Failed: 1, Limited: 1}},
		{"a limit in its own words", t.Context(), "a", answers(403, ``, "X-Limit: 0"), gateway.EndpointStats{Calls: 1, Failed: 1, Limited: 1}},
		{"401 twice", t.Context(), "a", answers(401, ``), gateway.EndpointStats{Calls: 1, Failed: 1, Replayed: 1}},
	} {
		answer = tt.answer
		get.Call(tt.ctx, tt.name)
		want[0] = sum(want[0], tt.count)
		check(tt.what)
	}
	auth.n.Store(-1)
	get.Call(t.Context(), "a")
	want[0] = sum(want[0], gateway.EndpointStats{Calls: 1, Failed: 1})
	check("no credentials")
	auth.n.Store(0)

	// A stream is a call until it has ended.
	for body, failed := range map[string]uint64{"abc": 0, "": 0, "too long": 1} {
		answer = answers(200, body)
		stream, err := read.Call(t.Context(), none)
		if err != nil {
			t.Fatal(err)
		}
		want[1].InFlight = 1
		check("an open stream")
		io.Copy(io.Discard, stream)
		want[1] = sum(want[1], gateway.EndpointStats{Calls: 1, Failed: failed})
		want[1].InFlight = 0
		check("a stream at its end")
		stream.Close()
		check("a closed stream")
	}
	stream, _ := read.Call(t.Context(), none)
	stream.Close()
	want[1].Calls++
	check("a stream that is closed early")
	resp, err := g.Client().Get("https://api.example/v2/all")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	check("a request of the client")
}

func sum(a, b gateway.EndpointStats) gateway.EndpointStats {
	a.Calls, a.Failed, a.Refused = a.Calls+b.Calls, a.Failed+b.Failed, a.Refused+b.Refused
	a.Limited, a.Replayed = a.Limited+b.Limited, a.Replayed+b.Replayed
	return a
}

// Counts are exact, they never fall, and no part is greater than its whole, while calls
// of all kinds end.
func TestStatsAreExact(t *testing.T) {
	const workers, rounds = 4, 100
	g := mustNew(t, gateway.Config{
		Auth: gateway.Basic("ada", "word"),
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			switch req.URL.Path {
			case "/v2/429":
				return reply(429, "")(req)
			case "/v2/refused":
				return nil, errFull
			case "/v2/panic":
				panic("boom")
			}
			return reply(200, "text")(req)
		}),
	})
	calls := gateway.NewEndpoint[string, []byte](g, "GET /{what}", gateway.EndpointConfig{Name: "x"})
	streams := gateway.NewEndpoint[string, io.ReadCloser](g, "GET /{what}", gateway.EndpointConfig{Name: "x"})
	var stop atomic.Bool
	var wg, watcher sync.WaitGroup
	watcher.Go(func() {
		last := gateway.EndpointStats{}
		for !stop.Load() {
			now := g.Stats().Endpoints[0]
			if now.Calls < last.Calls || now.Failed < last.Failed || now.Refused < last.Refused ||
				now.Failed > now.Calls || now.Limited > now.Failed || now.InFlight < 0 || now.InFlight > workers {
				t.Errorf("%+v after %+v", now, last)
				return
			}
			last = now
		}
	})
	for range workers {
		wg.Go(func() {
			for range rounds {
				for _, what := range []string{"ok", "429", "refused", "panic", ".."} {
					panicOf(func() { calls.Call(t.Context(), what) })
					panicOf(func() {
						if s, err := streams.Call(t.Context(), what); err == nil {
							s.Close()
						}
					})
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	watcher.Wait()
	const n = 2 * workers * rounds
	want := gateway.EndpointStats{Endpoint: "x", Calls: 3 * n, Failed: 2 * n, Refused: 2 * n, Limited: n}
	if diff := cmp.Diff(want, g.Stats().Endpoints[0]); diff != "" {
		t.Error(diff)
	}
}

// Endpoints without end do not need memory without end.
func TestStatsAreBounded(t *testing.T) {
	g := mustNew(t, gateway.Config{Transport: reply(204, "")})
	for i := range 1200 {
		e := gateway.NewEndpoint[gateway.None, gateway.None](g, fmt.Sprintf("GET /things/%d", i), gateway.EndpointConfig{})
		if _, err := e.Call(t.Context(), none); err != nil {
			t.Fatal(err)
		}
	}
	rows := g.Stats().Endpoints
	if n := len(rows); n != 1001 {
		t.Fatalf("%d rows", n)
	}
	if diff := cmp.Diff(gateway.EndpointStats{Endpoint: "other", Calls: 200}, rows[1000]); diff != "" {
		t.Error(diff)
	}
}

func TestStatsInALog(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == "time" || a.Key == "level" || a.Key == "msg") {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("", "hub", gateway.Stats{Name: "hub", Endpoints: []gateway.EndpointStats{
		{Endpoint: "a", InFlight: 1, Calls: 5, Failed: 4, Refused: 3, Limited: 2, Replayed: 1}, {Endpoint: "b", Calls: 1}, {Endpoint: "c"},
	}})
	want := "hub.name=hub hub.a.in_flight=1 hub.a.calls=5 hub.a.failed=4 hub.a.refused=3 hub.a.limited=2 hub.a.replayed=1 hub.b.calls=1\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}
