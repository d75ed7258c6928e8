package gateway

import (
	"log/slog"
	"net/http"
	"sync/atomic"
)

// Stats is a snapshot of a [Gateway]. Its counters begin when an endpoint is made, and
// never fall.
type Stats struct {
	Name      string          // Config.Name
	Endpoints []EndpointStats // in the order in which they were made
}

// EndpointStats count the calls of the endpoints with one name. The name is a part of
// the program, and safe as a label of metrics.
type EndpointStats struct {
	Endpoint string // its name
	InFlight int    // calls, now; a stream that nobody has closed is one

	Calls    uint64 // have ended, Refused not counted
	Failed   uint64 // of Calls: returned an error, or a stream that broke off
	Refused  uint64 // nothing was sent: the error is Rejected, or ctx had ended before
	Limited  uint64 // of Failed: the status is 429, or Config.RetryAfter says so
	Replayed uint64 // requests sent again with other credentials, after a 401
}

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (s Stats) LogValue() slog.Value {
	var attrs []slog.Attr
	if s.Name != "" {
		attrs = append(attrs, slog.String("name", s.Name))
	}
	for _, e := range s.Endpoints {
		attrs = append(attrs, slog.Any(e.Endpoint, e))
	}
	return slog.GroupValue(attrs...)
}

// LogValue implements [slog.LogValuer]. It shows what is not zero.
func (e EndpointStats) LogValue() slog.Value {
	var attrs []slog.Attr
	if e.InFlight > 0 {
		attrs = append(attrs, slog.Int("in_flight", e.InFlight))
	}
	for _, c := range []struct {
		name string
		n    uint64
	}{{"calls", e.Calls}, {"failed", e.Failed}, {"refused", e.Refused}, {"limited", e.Limited}, {"replayed", e.Replayed}} {
		if c.n > 0 {
			attrs = append(attrs, slog.Uint64(c.name, c.n))
		}
	}
	return slog.GroupValue(attrs...)
}

// Stats returns a snapshot. Requests of [Gateway.Client] do not count. Endpoints with
// the same name count together, and so do, as "other", all after the first 1,000 names.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	rows := g.rows[:len(g.rows):len(g.rows)]
	g.mu.Unlock()
	s := Stats{Name: g.cfg.Name, Endpoints: make([]EndpointStats, len(rows))}
	for i, n := range rows {
		s.Endpoints[i] = n.snapshot()
	}
	return s
}

const (
	maxRows   = 1000 // of Stats, for a program that makes endpoints without end
	otherName = "other"
)

// counts are the counters of the endpoints with one name.
type counts struct {
	name                                      string
	inFlight                                  atomic.Int64
	calls, failed, refused, limited, replayed atomic.Uint64
}

// countsOf returns the counters for an endpoint.
func (g *Gateway) countsOf(name string) *counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		for _, n := range g.rows {
			if n.name == name {
				return n
			}
		}
		if len(g.rows) < maxRows || name == otherName {
			n := &counts{name: name}
			g.rows = append(g.rows, n)
			return n
		}
		name = otherName
	}
}

// ended counts a call that was in flight, and whose error is err. A counter is written
// after the one of which it is a part, and read before it.
func (n *counts) ended(c *call, err *Error) {
	defer n.inFlight.Add(-1)
	if err != nil && (err.Rejected() || err.Kind == NoResponse && c.sent == nil) {
		n.refused.Add(1)
		return
	}
	n.calls.Add(1)
	if err == nil {
		return
	}
	n.failed.Add(1)
	if err.after > 0 || err.Status == http.StatusTooManyRequests {
		n.limited.Add(1)
	}
}

func (n *counts) snapshot() EndpointStats {
	e := EndpointStats{Endpoint: n.name, Replayed: n.replayed.Load(), Limited: n.limited.Load()}
	e.Failed = n.failed.Load()
	e.Calls, e.Refused, e.InFlight = n.calls.Load(), n.refused.Load(), int(n.inFlight.Load())
	return e
}
