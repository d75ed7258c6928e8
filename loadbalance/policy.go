package loadbalance

import (
	"fmt"
	"sync/atomic"
)

// A Policy chooses among the endpoints of a set. It must be safe for concurrent use.
// Those of this package are constants.
type Policy interface {
	// Next returns the index of an endpoint. It is called for every pick, and must
	// neither block nor allocate. At least one endpoint is not to be skipped. If Next
	// returns one that is, or no endpoint at all, one of the others is picked as P2C
	// does.
	Next(View) int
}

// A Builder is a Policy that needs something made of the set, such as a table or a
// ring. A mistake in the signature of Build would go unnoticed, so say
//
//	var _ loadbalance.Builder = maglev{}
type Builder interface {
	Policy
	// Build returns the policy for a new set. It is called before the set is used,
	// once for each set whose keys, order or weights are new, on what the last Build
	// returned, and never for a change of health: nothing is to be skipped in its
	// View. Picks go on with the old set and the old policy meanwhile. Calls do not
	// overlap. Build must not return nil.
	Build(View) Policy
}

// PolicyFunc is a function as a Policy.
type PolicyFunc func(View) int

// Next implements [Policy].
func (f PolicyFunc) Next(v View) int { return f(v) }

type builtin uint8

// The policies. Each ignores weights unless it says otherwise.
const (
	// PeakEWMA sends a call to where it will be answered soonest: the latency that
	// is to be expected, times one more than the calls in flight, over the weight.
	// The expectation is a moving average that rises at once and forgets with
	// Config.Decay. Calls that are being waited for count with their age, so that an
	// endpoint that stops answering is avoided before its calls time out. Failures
	// make an endpoint look slow, never fast. It compares all endpoints up to 16 of
	// them, and two at random of more. It is the default.
	PeakEWMA builtin = iota
	// P2C takes the one of two different endpoints at random that has fewer calls in
	// flight, by weight. Failures count as calls.
	P2C
	// LeastLoaded takes the endpoint with the fewest calls in flight, by weight.
	// Failures count as calls. It looks at all endpoints.
	LeastLoaded
	// RoundRobin takes one endpoint after the other, starting anywhere.
	RoundRobin
	// Weighted takes each endpoint as often as its weight says, in turns that are as
	// even as can be.
	Weighted
	// Random takes any endpoint.
	Random
	// First takes the first endpoint of the set that is healthy: a primary, and its
	// stand-ins.
	First
)

func (p builtin) String() string {
	if p > First {
		return fmt.Sprintf("Policy(%d)", uint8(p))
	}
	return [...]string{"peak EWMA", "P2C", "least loaded", "round robin", "weighted", "random", "first"}[p]
}

// Build implements [Builder].
func (p builtin) Build(v View) Policy {
	switch p {
	case P2C:
		return p2c{}
	case LeastLoaded:
		return leastLoaded{}
	case RoundRobin:
		r := &roundRobin{}
		r.turn.Store(v.Rand()) // clients that start together do not march in step
		return r
	case Weighted:
		return newWeighted(v)
	case Random:
		return random{}
	case First:
		return first{}
	}
	return peakEWMA{}
}

// Next implements [Policy], for policies of one's own that leave a choice to p.
// RoundRobin and Weighted have no turns there, and choose at random.
func (p builtin) Next(v View) int {
	switch p {
	case PeakEWMA:
		return peakEWMA{}.Next(v)
	case P2C:
		return p2c{}.Next(v)
	case LeastLoaded:
		return leastLoaded{}.Next(v)
	case First:
		return first{}.Next(v)
	}
	return random{}.Next(v)
}

// timed reports whether p needs to know how long calls take.
func timed(p Policy) bool {
	b, ok := p.(builtin)
	return !ok || b == PeakEWMA
}

type p2c struct{}

func (p2c) Next(v View) int {
	if v.count() == 1 {
		return v.nth(0)
	}
	i, j := v.pair(v.Rand())
	if v.load(j) < v.load(i) {
		return j
	}
	return i
}

type leastLoaded struct{}

func (leastLoaded) Next(v View) int { return v.best(v.load) }

type roundRobin struct{ turn atomic.Uint64 }

func (r *roundRobin) Next(v View) int { return v.At(r.turn.Add(1)) }

type random struct{}

func (random) Next(v View) int { return v.nth(below(v.Rand(), v.count())) }

type first struct{}

func (first) Next(v View) int { return v.nth(0) }
