// Health of a process: alive means that a restart would not help; ready, that requests
// may come. Not worth asking after what others run: when payment is down, no instance of
// ours is better than another, and none should be taken out.

package platform

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Health answers the probes of whatever runs the process: GET /livez and GET /readyz. The
// zero value is ready. It is safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	checks   []check
	draining bool
}

type check struct {
	name string
	ask  func(context.Context) error
}

// Needs adds a condition for being ready. It should be about what is this process's own,
// such as its database.
func (h *Health) Needs(name string, ask func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, ask})
}

// Drain makes the process not ready, for good: requests are still answered, but no
// more should come.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// Handler answers the probes.
func (h *Health) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		secure(w.Header())
		fmt.Fprintln(w, "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if missing := h.missing(r.Context()); missing != "" {
			Refuse(w, Problem{Status: http.StatusServiceUnavailable, Detail: missing})
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return mux
}

// missing names what is missing to be ready.
func (h *Health) missing(ctx context.Context) string {
	h.mu.Lock()
	checks, draining := h.checks, h.draining
	h.mu.Unlock()
	if draining {
		return "draining"
	}
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	for _, c := range checks {
		if err := c.ask(ctx); err != nil {
			slog.WarnContext(ctx, "platform: not ready", "needs", c.name, "err", err)
			return c.name
		}
	}
	return ""
}
