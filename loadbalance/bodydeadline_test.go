package loadbalance_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/loadbalance"
)

// A deadline that ends a body is a failure of the endpoint if its reads have waited, and
// says nothing if the caller did not read, or events were coming.
func TestDeadlineInTheBody(t *testing.T) {
	// events sends one at once and then one at each interval, until the client leaves.
	events := func(kind string, interval time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", kind)
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
	for _, tt := range []struct {
		name   string
		server http.HandlerFunc
		wait   time.Duration // of the caller, before it reads
		cfg    loadbalance.Config
		failed uint64
	}{
		{name: "events", server: events("text/event-stream", 15*time.Second)},
		{name: "an answer that drips", server: events("text/plain", 15*time.Second), failed: 3},
		{name: "one event, then silence", server: events("text/event-stream", time.Hour), failed: 3},
		{name: "a caller that comes late", server: events("text/event-stream", time.Hour), wait: 39 * time.Second},
		{name: "a Classify that counts all", server: events("text/event-stream", 15*time.Second), failed: 3,
			cfg: loadbalance.Config{Classify: func(_ context.Context, err error) loadbalance.Outcome { return loadbalance.Failure }}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := memhttp.NewServer(t, tt.server)
				base := srv.Transport()
				defer base.CloseIdleConnections()
				source, err := loadbalance.URLs(srv.URL())
				if err != nil {
					t.Fatal(err)
				}
				balancer := loadbalance.New(source, tt.cfg)
				client := &http.Client{Timeout: 40 * time.Second, Transport: &loadbalance.Transport{Base: base, Balancer: balancer}}
				for range 3 {
					resp, err := client.Get(srv.URL())
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(tt.wait)
					if _, err := io.Copy(io.Discard, resp.Body); err == nil {
						t.Fatal("the body did not break off")
					}
					resp.Body.Close()
				}
				if s := balancer.Stats(); s.Failed != tt.failed {
					t.Errorf("%d of %d calls failed, want %d", s.Failed, s.Calls, tt.failed)
				}
			})
		})
	}
}
