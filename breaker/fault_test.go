package breaker_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/internal/memhttp"
)

// TestFaults sends one request with a deadline of a second to a server with a
// fault, over a network, and finds out what it counted as.
func TestFaults(t *testing.T) {
	short := memhttp.Fault{Truncate: memhttp.AfterBody(3)}
	for _, tt := range []struct {
		name  string
		fault memhttp.Fault
		conn  memhttp.ConnFault
		want  breaker.Outcome
	}{
		{name: "none", want: breaker.Success},
		{name: "refused", conn: memhttp.ConnFault{Refused: true}, want: breaker.Failure},
		{name: "no answer to the dial", conn: memhttp.ConnFault{Dial: time.Hour}, want: breaker.Failure},
		{name: "reset before the status line", fault: memhttp.Fault{Reset: memhttp.BeforeHeaders}, want: breaker.Failure},
		{name: "slow headers", fault: memhttp.Fault{Delay: 2 * time.Second}, want: breaker.Failure},
		{name: "reset in the body", fault: memhttp.Fault{Reset: memhttp.AfterBody(3)}, want: breaker.Failure},
		{name: "dripping body", fault: memhttp.Fault{ChunkDelay: 600 * time.Millisecond}, want: breaker.Failure},
		{name: "body that drips once", fault: memhttp.Fault{ChunkDelay: 2 * time.Second}, want: breaker.Failure},
		{name: "short body", fault: short, want: breaker.Failure},
		{name: "500", fault: memhttp.Fault{Status: 500}, want: breaker.Failure},
		{name: "503", fault: memhttp.Fault{Status: 503, Header: http.Header{"Retry-After": {"5"}}}, want: breaker.Failure},
		{name: "429", fault: memhttp.Fault{Status: 429}, want: breaker.Ignored},
		{name: "404", fault: memhttp.Fault{Status: 404}, want: breaker.Success},
		{name: "204", fault: memhttp.Fault{Status: 204}, want: breaker.Success},
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
					if protocol == "HTTP/2" {
						memhttp.HTTP2(base)
					}
					var last *breaker.Breaker
					for _, cfg := range []breaker.Config{{Consecutive: 1}, {Trials: 1, SlowStart: -1}} {
						last = breaker.New(cfg)
						if cfg.Trials == 1 { // to tell a success from what is ignored
							last.Trip(time.Second, nil)
							time.Sleep(time.Second)
							synctest.Wait()
						}
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL(), nil)
						resp, err := (&breaker.Transport{Base: base, Breaker: last}).RoundTrip(req)
						if err == nil {
							io.Copy(io.Discard, resp.Body)
							resp.Body.Close()
						}
						cancel()
						if cfg.Trials == 0 && (last.State() == breaker.Open) != (tt.want == breaker.Failure) {
							t.Errorf("closed: %v", last.State())
						}
					}
					want := [...]breaker.State{breaker.Success: breaker.Closed, breaker.Failure: breaker.Open, breaker.Ignored: breaker.HalfOpen}[tt.want]
					if last.State() != want {
						t.Errorf("half-open: %v, want %v", last.State(), want)
					}
					base.CloseIdleConnections()
				})
			})
		}
	}
}

// Every other answer is an error: no row of failures, but half of all calls.
func TestFlappingServerOpensByRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		srv.Fault = func(n int, _ *http.Request) memhttp.Fault { return memhttp.Fault{Status: 500 * (n % 2)} }
		b := breaker.New(breaker.Config{})
		client := &http.Client{Transport: &breaker.Transport{Base: srv.Transport(), Breaker: b}}
		sent := 0
		for b.State() == breaker.Closed && sent < 100 {
			resp, err := client.Get(srv.URL())
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			sent++
		}
		if sent != 20 || b.Stats().Reason != "10 of 20 calls failed or were slow" {
			t.Errorf("opened after %d calls: %s", sent, b.Stats().Reason)
		}
		client.CloseIdleConnections()
	})
}

// After a pause of the whole process all timers fire and all calls report at once.
func TestPauseOfTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{})
		var running [100]breaker.Permit
		for i := range running {
			running[i], _ = b.Allow()
		}
		b.Trip(0, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		for i := range running {
			running[i].Done(breaker.Failure)
		}
		trials := 0
		for range 100 {
			if _, err := b.Allow(); err == nil {
				trials++
			}
		}
		if trials != 3 || b.State() != breaker.HalfOpen {
			t.Errorf("%d trials, %v", trials, b.State())
		}
	})
}
