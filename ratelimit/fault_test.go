package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/ratelimit"
)

// TestFaults sends one request with a deadline of a second to a server with a fault,
// over a network. Whatever happens, it costs one token; its place is held until the
// body is read to its end, fails or is closed, and free for the next request then.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault memhttp.Fault
		conn  memhttp.ConnFault
	}{
		{name: "none"},
		{name: "refused", conn: memhttp.ConnFault{Refused: true}},
		{name: "no answer to the dial", conn: memhttp.ConnFault{Dial: time.Hour}},
		{name: "reset before the status line", fault: memhttp.Fault{Reset: memhttp.BeforeHeaders}},
		{name: "slow headers", fault: memhttp.Fault{Delay: 2 * time.Second}},
		{name: "header bomb", fault: memhttp.Fault{Header: http.Header{"Bomb": {long}}}},
		{name: "reset in the body", fault: memhttp.Fault{Reset: memhttp.AfterBody(3)}},
		{name: "dripping body", fault: memhttp.Fault{ChunkDelay: 600 * time.Millisecond}},
		{name: "short body", fault: memhttp.Fault{Truncate: memhttp.AfterBody(3)}},
		{name: "503", fault: memhttp.Fault{Status: 503, Header: http.Header{"Retry-After": {"5"}}}},
		{name: "429", fault: memhttp.Fault{Status: 429, Body: "later"}},
		{name: "204", fault: memhttp.Fault{Status: 204}},
	} {
		for _, protocol := range []string{"HTTP/1", "HTTP/2"} {
			t.Run(tt.name+" "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						for range 3 {
							io.WriteString(w, "chunk")
						}
					}))
					srv.Fault = func(int, *http.Request) memhttp.Fault { return tt.fault }
					srv.ConnFault = func(int) memhttp.ConnFault { return tt.conn }
					base := srv.Transport()
					base.MaxResponseHeaderBytes = int64(len(long)) / 2
					if protocol == "HTTP/2" {
						memhttp.HTTP2(base)
					}
					limiter := ratelimit.New(ratelimit.Config{Rate: 1e-3, Burst: 10})
					bulkhead := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1, Queue: -1})
					tr := &ratelimit.Transport{Base: base, Limiter: limiter, Concurrency: bulkhead}
					for n := range 2 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL(), nil)
						resp, err := tr.RoundTrip(req)
						reading := err == nil && resp.Body != http.NoBody
						if held := bulkhead.Stats().InUse == 1; held != reading {
							t.Errorf("request %d: place held %v with the headers there, error %v", n, held, err)
						}
						if err == nil {
							io.Copy(io.Discard, resp.Body)
							if in := bulkhead.Stats().InUse; in != 0 {
								t.Errorf("request %d: place held at the end of the body", n)
							}
							resp.Body.Close()
						} else if errors.Is(err, ratelimit.ErrLimited) || errors.Is(err, ratelimit.ErrFull) {
							t.Errorf("request %d: %v", n, err)
						}
						cancel()
						if s := bulkhead.Stats(); s.InUse != 0 {
							t.Errorf("request %d: place not given back", n)
						}
						if left := int(limiter.Tokens()); left != 9-n {
							t.Errorf("request %d: %d tokens left, want %d", n, left, 9-n)
						}
					}
					base.CloseIdleConnections()
				})
			})
		}
	}
}

// long is more than the client takes as headers.
var long = strings.Repeat("x", 64<<10)

// When a backend that answered nothing is back, or the process was paused for long,
// what has waited meanwhile does not come all at once.
func TestNoBurstAtRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		back := time.Now().Add(55 * time.Second)
		var mu sync.Mutex
		var served []time.Time
		srv.Fault = func(int, *http.Request) memhttp.Fault {
			if time.Now().Before(back) {
				return memhttp.Fault{Delay: time.Hour}
			}
			mu.Lock()
			defer mu.Unlock()
			served = append(served, time.Now())
			return memhttp.Fault{}
		}
		base := srv.Transport()
		tr := &ratelimit.Transport{
			Base:        base,
			Limiter:     ratelimit.New(ratelimit.Config{Rate: 10, Burst: 5}),
			Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 50, Queue: 1000}),
		}
		send := func(timeout time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL(), nil)
			if resp, err := tr.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		}
		for range 50 { // hold all places for a minute
			go send(time.Minute)
		}
		time.Sleep(30 * time.Second)
		for range 500 {
			go send(10 * time.Minute)
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for i, at := range served {
			if i >= 15 && at.Sub(served[i-15]) < time.Second-time.Nanosecond {
				t.Fatalf("requests %d to %d, more than burst and rate allow, came within %v", i-15, i, at.Sub(served[i-15]))
			}
		}
		if len(served) < 500 {
			t.Errorf("%d requests served after the recovery, want 500", len(served))
		}
		base.CloseIdleConnections()
	})
}
