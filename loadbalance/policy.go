package loadbalance

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// A Policy chooses among endpoints, by their index. It must be safe for concurrent
// use. Those of this package are constants; one of one's own has two methods, and
// knows nothing about the type of the endpoints.
type Policy interface {
	// Build returns the policy for new members. It is called once for each change
	// of the set or of an endpoint's health, on what the last Build returned, so
	// that a policy can keep what it has learnt; calls do not overlap. A policy
	// without a state returns itself.
	Build(View) Policy

	// Next returns the index of a member, of which there is at least one. It is
	// called for every pick, and must neither block nor allocate. The View has the
	// members that Build was given. A policy should honour [View.Skip]; if it does
	// not, the least loaded of the others is picked in its stead.
	Next(View) int
}

type builtin uint8

// The policies. Each ignores weights unless it says otherwise.
const (
	// PeakEWMA sends a call to where it will be answered soonest: the latency that
	// is to be expected, times one more than the calls in flight, over the weight.
	// The expectation is a moving average that jumps to every peak and forgets with
	// Config.Decay; calls that are being waited for count with their age, so that an
	// endpoint that stops answering is shunned before its calls time out; and
	// failures make an endpoint look slow, never fast. It compares all members up
	// to 16 of them, above that two at random. It is the default.
	PeakEWMA builtin = iota
	// P2C takes the one of two different members at random that has fewer calls in
	// flight, by weight.
	P2C
	// LeastLoaded takes the member with the fewest calls in flight, by weight. It
	// looks at all of them.
	LeastLoaded
	// RoundRobin takes one after the other, starting anywhere.
	RoundRobin
	// Weighted takes each as often as its weight says, in turns as even as can be.
	Weighted
	// Random takes any.
	Random
	// First takes the first of the set that is healthy: a primary, and its stand-ins.
	First
)

func (p builtin) String() string {
	if p > First {
		return fmt.Sprintf("Policy(%d)", uint8(p))
	}
	return [...]string{"peak EWMA", "P2C", "least loaded", "round robin", "weighted", "random", "first"}[p]
}

// Build implements [Policy].
func (p builtin) Build(v View) Policy {
	switch p {
	case P2C:
		return p2c{}
	case LeastLoaded:
		return leastLoaded{}
	case RoundRobin:
		return newRoundRobin(v)
	case Weighted:
		return newWeighted(v)
	case Random:
		return random{}
	case First:
		return first{}
	}
	return peakEWMA{}
}

// Next implements [Policy].
func (p builtin) Next(v View) int { return random{}.Next(v) }

// timed reports whether p needs to know how long calls take.
func timed(p Policy) bool {
	b, ok := p.(builtin)
	return !ok || b == PeakEWMA
}

// A View is what a policy sees: the endpoints that may be picked, by index in the
// order of the set, and what is known about them.
type View struct {
	s    *snapshot
	skip *bitset // nil if it is empty
	now  int64
}

// Len returns the number of members.
func (v View) Len() int { return len(v.s.nodes) }

// Key returns the key of a member's endpoint.
func (v View) Key(i int) string { return v.s.nodes[i].key }

// Weight returns the weight of a member, 1 if the endpoint has none.
func (v View) Weight(i int) float64 { return v.s.members[i].weight }

// InFlight returns how many calls to a member have not ended.
func (v View) InFlight(i int) int { return v.s.nodes[i].inFlight() }

// Latency returns how long a member is expected to take to answer: the average
// over Config.Decay or, if more, the age of the calls it has not answered. It is 0
// as long as nothing is known about any endpoint.
func (v View) Latency(i int) time.Duration {
	return v.s.nodes[i].latency(v.now)
}

// Skip reports whether a member should not be picked this time: a retry has been
// there already, the caller has excluded it, it is full, or in its slow start.
func (v View) Skip(i int) bool { return v.skip != nil && v.skip.has(i) }

// Rand returns 64 random bits.
func (v View) Rand() uint64 {
	if r := v.s.rand; r != nil {
		return r()
	}
	return rand.Uint64()
}

// below maps 32 random bits to [0, n).
func below(r uint64, n int) int { return int(r & (1<<32 - 1) * uint64(n) >> 32) }

// two returns two different indices below n, which is 2 or more, from one word.
func two(r uint64, n int) (i, j int) {
	i, j = below(r, n), below(r>>32, n-1)
	if j >= i {
		j++
	}
	return i, j
}

// A bitset is a set of indices, nil if it is empty.
type bitset []uint64

func (b bitset) has(i int) bool { return b[i/64]>>(i%64)&1 != 0 }

// add adds i, which is below n.
func (b *bitset) add(i, n int) {
	if *b == nil {
		*b = make(bitset, (n+63)/64)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) or(o bitset) bitset {
	if b == nil || o == nil {
		return append(b, o...) // one of them, or neither
	}
	u := slices.Clone(b)
	for i := range o {
		u[i] |= o[i]
	}
	return u
}

// len returns the number of indices.
func (b bitset) len() (n int) {
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}
