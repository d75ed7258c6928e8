package loadbalance

import (
	"fmt"
	"log/slog"
	"time"
)

// State is the state of an endpoint: the last of these that applies to it.
type State uint8

const (
	// Healthy endpoints are picked as the policy says.
	Healthy State = iota
	// SlowStart: it has joined or come back, and has a growing share.
	SlowStart
	// HalfOpen: its ejection is over, and one call decides what comes next.
	HalfOpen
	// Cooling: it was overloaded, and has said for how long to leave it alone.
	Cooling
	// Ejected: too many calls to it have failed.
	Ejected
	// Unhealthy: its active checks fail.
	Unhealthy
	// Draining: it is not in the set any more, and has calls in flight.
	Draining
)

func (s State) String() string {
	if s > Draining {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return [...]string{"healthy", "slow start", "half-open", "cooling", "ejected", "unhealthy", "draining"}[s]
}

// MarshalText implements [encoding.TextMarshaler].
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Stats is a snapshot of a [Balancer]. Its counts are of calls since the Balancer was
// made; they never fall, and are exact when no call is in flight. Calls, Failed and
// Ejected are sums over all endpoints, those that have left included.
type Stats struct {
	Name   string // Config.Name
	Panic  bool   // too few endpoints are healthy, and health is ignored
	Err    error  // the source's, if it failed after the last good set
	Panics uint64 // of Observe, where they could not reach a caller; exits count, too

	Calls   uint64 // had an endpoint, and have ended
	Failed  uint64 // of Calls: have failed
	Refused uint64 // had no endpoint, and an [*Error] instead
	Ejected uint64 // times that an endpoint was ejected

	Endpoints []EndpointStats // in the order of the set, then those that drain
}

// LogValue implements [slog.LogValuer]: the fields that are set.
func (s Stats) LogValue() slog.Value {
	attrs := named(s.Name)
	if s.Panic {
		attrs = append(attrs, slog.Bool("panic", true))
	}
	if s.Err != nil {
		attrs = append(attrs, slog.Any("err", s.Err))
	}
	attrs = counters(attrs, "panics", s.Panics)
	attrs = append(attrs, slog.Uint64("calls", s.Calls))
	attrs = counters(attrs, "failed", s.Failed, "refused", s.Refused, "ejected", s.Ejected)
	for _, e := range s.Endpoints {
		attrs = append(attrs, slog.Any(e.Key, e))
	}
	return slog.GroupValue(attrs...)
}

// EndpointStats is a snapshot of one endpoint. Its counts never fall as long as the
// Balancer knows the endpoint, that is until it has left the set for five minutes, or
// sooner where more than a thousand have left. If it comes back after that it is new.
type EndpointStats struct {
	Key         string        // of the endpoint
	State       State         // it is in
	Reason      string        // why, empty if there has been no reason to leave Healthy
	For         time.Duration // how long it has been in that state
	Weight      float64       // 1 if the set has none
	InFlight    int           // calls that have not ended
	Latency     time.Duration // expected, as View.Latency; 0 if the policy does not need it
	FailureRate float64       // of about the last 16 calls, from 0 to 1

	Calls      uint64 // have ended
	Failed     uint64 // of Calls: have failed
	Overloaded uint64 // of Calls: were refused by the endpoint, which had too many
	Ignored    uint64 // of Calls: say nothing about the endpoint
	Trials     uint64 // calls that were its trial, from their begin on
	Ejected    uint64 // times that it was ejected, after a failed trial too
}

// LogValue implements [slog.LogValuer]: the fields that say something.
func (e EndpointStats) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("state", e.State.String())}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason), slog.Duration("for", e.For))
	}
	if e.Weight != 1 && e.Weight != 0 {
		attrs = append(attrs, slog.Float64("weight", e.Weight))
	}
	attrs = append(attrs, slog.Int("in_flight", e.InFlight))
	if e.Latency > 0 {
		attrs = append(attrs, slog.Duration("latency", e.Latency))
	}
	if e.FailureRate > 0 {
		attrs = append(attrs, slog.Float64("failure_rate", e.FailureRate))
	}
	attrs = append(attrs, slog.Uint64("calls", e.Calls))
	return slog.GroupValue(counters(attrs, "failed", e.Failed, "overloaded", e.Overloaded, "ignored", e.Ignored, "trials", e.Trials, "ejected", e.Ejected)...)
}

// Stats returns what is known about all endpoints. Calls go on meanwhile; only those that
// change the health of an endpoint wait, a quarter of a microsecond for each endpoint.
func (b *Balancer[T]) Stats() Stats {
	c := &b.core
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	s := Stats{
		Name: c.cfg.Name, Panic: c.panicking, Err: c.err, Panics: c.panics.Load(),
		Calls: c.past, Failed: c.failed.Load(), Refused: c.refused.Load(), Ejected: c.ejected,
	}
	if c.set != nil {
		s.Endpoints = make([]EndpointStats, 0, len(c.set.members))
		for _, m := range c.set.members {
			s.addLocked(m.node, m.weight, now)
		}
	}
	for _, n := range c.left {
		if n.health.drained {
			s.Calls += n.calls(c.timed)
		} else {
			s.addLocked(n, 0, now)
		}
	}
	return s
}

// addLocked adds a node. It reads Calls last: what has failed is one of them.
func (s *Stats) addLocked(n *node, weight float64, now int64) {
	h := n.health
	e := EndpointStats{
		Key: n.name, State: n.stateLocked(now), Reason: h.why, For: time.Duration(now - h.since),
		Weight: weight, InFlight: n.inFlight(), Latency: n.latency(now), FailureRate: float64(n.current(now).failures),
		Failed: h.failed.Load(), Overloaded: h.overloaded.Load(), Ignored: h.ignored.Load(), Trials: h.trials, Ejected: h.ejected,
	}
	e.Calls = n.calls(n.core.timed)
	s.Calls += e.Calls
	s.Endpoints = append(s.Endpoints, e)
}

// counters appends those of the counters that are not 0: a name, its value, and so on.
func counters(attrs []slog.Attr, pairs ...any) []slog.Attr {
	for i := 0; i < len(pairs); i += 2 {
		if v := pairs[i+1].(uint64); v > 0 {
			attrs = append(attrs, slog.Uint64(pairs[i].(string), v))
		}
	}
	return attrs
}
