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

// A deadline that ends a body is a failure if its reads have waited, and says nothing if
// the caller did not read, or events were coming.
func TestDeadlineInTheBody(t *testing.T) {
	// events sends one at once and then one at each interval, until the client leaves.
	events := func(interval time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				io.WriteString(w, "data: news\n\n")
				http.NewResponseController(w).Flush()
				select {
				case <-req.Context().Done():
					return
				case <-time.After(interval):
				}
			}
		}
	}
	drips := func(w http.ResponseWriter, req *http.Request) {
		for req.Context().Err() == nil {
			io.WriteString(w, "[")
			http.NewResponseController(w).Flush()
			select {
			case <-req.Context().Done():
			case <-time.After(time.Second):
			}
		}
	}
	full := func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			w.Write(make([]byte, 100_000)) // more than HTTP/2 lets a server send ahead
		}
	}
	readAll := func(body io.Reader) error { _, err := io.Copy(io.Discard, body); return err }
	slowly := func(body io.Reader) error {
		buf := make([]byte, 1000)
		for {
			if _, err := io.ReadFull(body, buf); err != nil {
				return err
			}
			time.Sleep(7 * time.Second)
		}
	}
	ignore := func(*http.Response, error) breaker.Outcome { return breaker.Default }
	for _, tt := range []struct {
		name     string
		server   http.HandlerFunc
		timeout  time.Duration
		read     func(io.Reader) error
		classify func(*http.Response, error) breaker.Outcome // of the Transport
		config   breaker.Config
		opens    bool
	}{
		{name: "events each 15s, for ten minutes", server: events(15 * time.Second), timeout: 10 * time.Minute, read: readAll},
		{name: "events each 15s, for 40s", server: events(15 * time.Second), timeout: 40 * time.Second, read: readAll},
		{name: "events each 15s, and a Classify", server: events(15 * time.Second), timeout: 40 * time.Second, read: readAll, classify: ignore},
		{name: "an answer that drips", server: drips, timeout: 10 * time.Second, read: readAll, opens: true},
		{name: "one event, then silence", server: events(time.Hour), timeout: 10 * time.Second, read: readAll, opens: true},
		{name: "silence for the second half", server: events(29 * time.Second), timeout: time.Minute, read: func(body io.Reader) error {
			body.Read(make([]byte, 100)) // the event at once
			return readAll(body)
		}}, // of 60s, only the last 2s
		{name: "a Config.Classify that counts all errors", server: events(15 * time.Second), timeout: 40 * time.Second, read: readAll,
			config: breaker.Config{Classify: func(_ context.Context, err error) breaker.Outcome { return breaker.Failure }}, opens: true},
		{name: "a slow reader", server: full, timeout: 30 * time.Second, read: slowly},
		{name: "a reader that comes too late", server: full, timeout: time.Second, read: func(body io.Reader) error {
			time.Sleep(time.Minute)
			return readAll(body)
		}},
		{name: "a slow reader, and a silent backend", server: events(time.Hour), timeout: 10 * time.Second, read: func(body io.Reader) error {
			time.Sleep(9 * time.Second)
			return readAll(body)
		}},
		{name: "one event, then silence, and a Classify", server: events(time.Hour), timeout: 10 * time.Second, read: readAll,
			classify: ignore, opens: true},
		{name: "a Classify that counts all that breaks off", server: events(15 * time.Second), timeout: 40 * time.Second, read: readAll,
			classify: func(_ *http.Response, err error) breaker.Outcome {
				if err != nil {
					return breaker.Failure
				}
				return breaker.Default
			}, opens: true},
	} {
		for _, protocol := range []string{"HTTP/1", "HTTP/2"} {
			t.Run(tt.name+" "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := memhttp.NewServer(t, tt.server)
					base := srv.Transport()
					if protocol == "HTTP/2" {
						memhttp.HTTP2(base)
					}
					defer base.CloseIdleConnections()
					b := breaker.New(tt.config)
					client := &http.Client{Timeout: tt.timeout, Transport: &breaker.Transport{Base: base, Breaker: b, Classify: tt.classify}}
					calls := 0
					for ; calls < 20 && b.State() == breaker.Closed; calls++ {
						resp, err := client.Get(srv.URL())
						if err != nil {
							t.Fatal(err)
						}
						if err := tt.read(resp.Body); err == nil {
							t.Fatal("the body did not break off")
						}
						resp.Body.Close()
					}
					s := b.Stats()
					if tt.opens && (s.State != breaker.Open || calls != 5 || s.Failed != 5) {
						t.Errorf("%v after %d calls, %d of them failed; want open after 5", s.State, calls, s.Failed)
					}
					if !tt.opens && (s.State != breaker.Closed || s.Failed != 0 || s.Calls != 20) {
						t.Errorf("%v after %d calls, %d of them failed", s.State, s.Calls, s.Failed)
					}
				})
			})
		}
	}
}
