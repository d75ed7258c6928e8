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

// Stats is a snapshot of a [Balancer].
type Stats struct {
	Name      string          // Config.Name
	Endpoints []EndpointStats // in the order of the set, then those that drain
	Panic     bool            // too few endpoints are healthy, and health is ignored
	Err       error           // the source's, if it failed after the last good set
	Panics    uint64          // of Observe, where they could not reach a caller; exits count, too
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
	if s.Panics > 0 {
		attrs = append(attrs, slog.Uint64("panics", s.Panics))
	}
	for _, e := range s.Endpoints {
		attrs = append(attrs, slog.Any(e.Key, e))
	}
	return slog.GroupValue(attrs...)
}

// EndpointStats is a snapshot of one endpoint.
type EndpointStats struct {
	Key         string        // of the endpoint
	State       State         // it is in
	Reason      string        // why, empty if there has been no reason to leave Healthy
	For         time.Duration // how long it has been in that state
	Weight      float64       // 1 if the set has none
	InFlight    int           // calls that have not ended
	Latency     time.Duration // expected, as View.Latency; 0 if the policy does not need it
	FailureRate float64       // of about the last 16 calls, from 0 to 1
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
	return slog.GroupValue(attrs...)
}

// Stats returns what is known about all endpoints.
func (b *Balancer[T]) Stats() Stats {
	c := &b.core
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	s := Stats{Name: c.cfg.Name, Panic: c.panicking, Err: c.err, Panics: c.panics.Load()}
	add := func(n *node, weight float64) {
		s.Endpoints = append(s.Endpoints, EndpointStats{
			Key: n.name, State: n.stateLocked(now), Reason: n.health.why, For: time.Duration(now - n.health.since),
			Weight: weight, InFlight: n.inFlight(), Latency: n.latency(now),
			FailureRate: float64(n.current(now).failures),
		})
	}
	if c.set != nil {
		for _, m := range c.set.members {
			add(m.node, m.weight)
		}
	}
	for _, n := range c.left {
		if !n.health.drained {
			add(n, 0)
		}
	}
	return s
}
