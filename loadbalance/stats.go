package loadbalance

import (
	"fmt"
	"time"
)

// State is the state of an endpoint, or rather the first of these that it is in.
type State uint8

const (
	// Healthy endpoints are picked as the policy says.
	Healthy State = iota
	// SlowStart: it has joined or come back, and has a growing share.
	SlowStart
	// HalfOpen: its ejection is over, and one call decides what comes next.
	HalfOpen
	// Cooling: it has answered an Overload with a time for which to leave it alone.
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

// Stats is a snapshot of a [Balancer].
type Stats struct {
	Endpoints []EndpointStats // in the order of the set, then those that drain
	Panic     bool            // too few endpoints are healthy, and health is ignored
	Err       error           // the source's, if the last set is not from its last word
}

// EndpointStats is a snapshot of one endpoint.
type EndpointStats struct {
	Key      string        // of the endpoint
	State    State         // what it is in
	Reason   string        // why, empty if there has been no reason to leave Healthy
	For      time.Duration // how long it has been in it
	Weight   float64       // 1 if the set has none
	InFlight int           // calls that have not ended
	Latency  time.Duration // expected, as View.Latency; 0 if the policy does not need it
	Failures float64       // share of failures over about the last 16 calls
}

// Stats returns what is known about all endpoints.
func (b *Balancer[T]) Stats() Stats {
	c := &b.core
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	s := Stats{Panic: c.panicking, Err: c.err}
	add := func(n *node, weight float64) {
		s.Endpoints = append(s.Endpoints, EndpointStats{
			Key: n.key, State: n.state(now), Reason: n.health.why, For: time.Duration(now - n.health.since),
			Weight: weight, InFlight: n.inFlight(), Latency: n.latency(now),
			Failures: float64(n.current(now).failures),
		})
	}
	for _, m := range c.all {
		add(m.node, m.weight)
	}
	for _, n := range c.left {
		if !n.health.drained {
			add(n, 0)
		}
	}
	return s
}
