package retry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/retry"
)

func hedged(srv *memhttp.Server, cfg retry.Config) *http.Client {
	if cfg.Budget == nil {
		cfg.Budget = retry.NewBudget(retry.BudgetConfig{})
	}
	return &http.Client{Transport: &retry.Transport{
		Base:   srv.Transport(),
		Policy: everySecond(cfg),
		Hedger: retry.NewHedger(retry.HedgeConfig{Delay: 100 * time.Millisecond, Budget: cfg.Budget}),
	}}
}

func TestTransportHedge(t *testing.T) {
	for _, tt := range []struct {
		name, method, key string
		faults            []memhttp.Fault
		requests          int
		elapsed           time.Duration
		status            int
	}{
		{name: "slow headers", method: "GET", faults: []memhttp.Fault{{Delay: time.Minute}}, requests: 2, elapsed: 100 * time.Millisecond, status: 200},
		{name: "each has a body of its own", method: "PUT", faults: []memhttp.Fault{{Delay: time.Minute}}, requests: 2, elapsed: 100 * time.Millisecond, status: 200},
		{name: "a POST is not hedged", method: "POST", faults: []memhttp.Fault{{Delay: time.Minute}}, requests: 1, elapsed: time.Minute, status: 200},
		{name: "a POST with a key is", method: "POST", key: "1", faults: []memhttp.Fault{{Delay: time.Minute}}, requests: 2, elapsed: 100 * time.Millisecond, status: 200},
		{name: "a 503 begins the next at once", method: "GET", faults: []memhttp.Fault{{Status: 503}}, requests: 2, elapsed: 0, status: 200},
		{name: "a reset begins the next at once", method: "GET", faults: []memhttp.Fault{{Reset: memhttp.BeforeHeaders}}, requests: 2, elapsed: 0, status: 200},
		{name: "Retry-After is waited for", method: "GET", faults: []memhttp.Fault{{Status: 503, Header: http.Header{"Retry-After": {"5"}}}}, requests: 2, elapsed: 5 * time.Second, status: 200},
		{name: "a retry is hedged, too", method: "GET", faults: []memhttp.Fault{{Status: 503}, {Status: 503}, {Delay: time.Minute}}, requests: 4, elapsed: 1100 * time.Millisecond, status: 200},
		{name: "the last response", method: "GET", faults: []memhttp.Fault{{Status: 503}, {Status: 503}, {Status: 503}, {Status: 503}, {Status: 503}, {Status: 502}}, requests: 6, elapsed: 2 * time.Second, status: 502},
		{name: "a final answer ends the race", method: "GET", faults: []memhttp.Fault{{Delay: time.Minute}, {Status: 404}}, requests: 2, elapsed: 100 * time.Millisecond, status: 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if got, err := io.ReadAll(r.Body); r.Method != "GET" && string(got) != "content" && err == nil {
						t.Errorf("request body %q", got)
					}
					io.WriteString(w, "answer")
				}))
				srv.Fault = func(n int, r *http.Request) memhttp.Fault {
					requests.Add(1)
					return memhttp.Sequence(tt.faults...)(n, r)
				}
				client := hedged(srv, retry.Config{})
				var body io.Reader
				if tt.method != "GET" {
					body = strings.NewReader("content")
				}
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, srv.URL(), body)
				if tt.key != "" {
					req.Header.Set("Idempotency-Key", tt.key)
				}
				start := time.Now()
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d < tt.elapsed || d > tt.elapsed*6/5 {
					t.Errorf("took %v, want %v", d, tt.elapsed)
				}
				if resp.StatusCode != tt.status || resp.Request != req {
					t.Errorf("status %d, want %d; request %p, want %p", resp.StatusCode, tt.status, resp.Request, req)
				}
				got, err := io.ReadAll(resp.Body)
				if err != nil || tt.status == 200 && string(got) != "answer" {
					t.Errorf("body %q, %v", got, err)
				}
				resp.Body.Close()
				if n := int(requests.Load()); n != tt.requests {
					t.Errorf("%d requests, want %d", n, tt.requests)
				}
			})
		})
	}
}

// A body that takes long to arrive is the winner's to the end.
func TestTransportHedgeWinnersContextLivesUntilTheBodyIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 10 {
				io.WriteString(w, strings.Repeat("x", 100_000))
			}
		}))
		srv.Fault = memhttp.Sequence(memhttp.Fault{Delay: time.Minute}, memhttp.Fault{ChunkDelay: time.Second})
		client := hedged(srv, retry.Config{AttemptTimeout: 2 * time.Second})
		resp, err := client.Get(srv.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); len(got) != 1_000_000 || err != nil {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}

// deafBase ignores contexts; its first answer is late.
func TestTransportHedgeClosesTheLosersBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var bodies []*reply
		n := 0
		rt := &retry.Transport{
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				mu.Lock()
				n++
				late := n == 1
				mu.Unlock()
				if late {
					time.Sleep(time.Second)
				}
				resp := answer(req, 200, "")
				mu.Lock()
				bodies = append(bodies, resp.Body.(*reply))
				mu.Unlock()
				return resp, nil
			}),
			Hedger: retry.NewHedger(retry.HedgeConfig{Delay: 100 * time.Millisecond}),
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		synctest.Wait()
		if len(bodies) != 2 || bodies[0].closed.Load() != 0 || bodies[1].closed.Load() != 1 {
			t.Error("the winner's body is closed or the loser's is not")
		}
		resp.Body.Close()
	})
}

// Of two bad answers one reaches the caller; the other is closed.
func TestTransportHedgeClosesTheEarlierFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var bodies []*reply
		n := 0
		rt := &retry.Transport{
			Policy: retry.New(retry.Config{MaxAttempts: 1}),
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				mu.Lock()
				n++
				takes := []time.Duration{200, 50}[n-1] * time.Millisecond
				mu.Unlock()
				time.Sleep(takes)
				resp := answer(req, 503, "")
				mu.Lock()
				defer mu.Unlock()
				bodies = append(bodies, resp.Body.(*reply))
				return resp, nil
			}),
			Hedger: retry.NewHedger(retry.HedgeConfig{Delay: 100 * time.Millisecond}),
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
		resp, err := rt.RoundTrip(req)
		if err != nil || resp.StatusCode != 503 {
			t.Fatal(resp, err)
		}
		synctest.Wait() // the earlier one is closed by the goroutine that came later
		if len(bodies) != 2 || bodies[0].closed.Load() == 0 || bodies[1].closed.Load() != 0 {
			t.Errorf("%d answers; the earlier one closed %d times, the returned one %d times", len(bodies), bodies[0].closed.Load(), bodies[1].closed.Load())
		}
		resp.Body.Close()
	})
}

func TestTransportHedgeCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.NotFoundHandler())
		srv.Fault = memhttp.Sequence(memhttp.Fault{Delay: time.Hour}, memhttp.Fault{Status: 503}, memhttp.Fault{Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL(), nil)
		start := time.Now()
		resp, err := hedged(srv, retry.Config{}).Do(req)
		if resp != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v, %v after %v", resp, err, time.Since(start))
		}
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
	})
}

func TestTransportHedgerNotMadeByNewHedger(t *testing.T) {
	body := &reply{Reader: strings.NewReader("x")}
	req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://a.test/", body)
	_, err := (&retry.Transport{Hedger: new(retry.Hedger)}).RoundTrip(req)
	if err == nil || !strings.HasPrefix(err.Error(), "retry: Transport.Hedger") || body.closed.Load() != 1 {
		t.Errorf("error %v, body closed %d times", err, body.closed.Load())
	}
}
