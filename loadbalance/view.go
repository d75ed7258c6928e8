package loadbalance

import (
	"math/rand/v2"
	"time"
)

// A View is what a policy sees: the whole set, by index in the order of the source,
// what is known about its endpoints, and which of them can be picked this time. It is
// valid until the Next or Build that it was given to returns.
type View struct {
	s    *snapshot
	from *population // those that can be picked, nil: all
	hash uint64
	now  int64
}

// Len returns the number of endpoints in the set.
func (v View) Len() int { return len(v.s.nodes) }

// Key returns the key of an endpoint.
func (v View) Key(i int) string { return v.s.nodes[i].name }

// Weight returns the weight of an endpoint, 1 if it has none.
func (v View) Weight(i int) float64 { return v.s.members[i].weight }

// InFlight returns how many calls to an endpoint have not ended.
func (v View) InFlight(i int) int { return v.s.nodes[i].inFlight() }

// Latency returns how long an endpoint is expected to take to answer: the average
// over Config.Decay or, if more, the age of the calls it has not answered. It is 0
// as long as nothing is known about any endpoint.
func (v View) Latency(i int) time.Duration { return v.s.nodes[i].latency(v.now) }

// Skip reports whether an endpoint should not be picked this time: it is ejected or
// not well, excluded or not preferred, tried already, full, or passed over in its slow
// start.
func (v View) Skip(i int) bool { return v.from != nil && !v.from.has(i) }

// At returns the k-th endpoint of those that are not to be skipped, counted around.
func (v View) At(k uint64) int { return v.nth(int(k % uint64(v.count()))) }

// Hash returns the hash of the hint, 0 if it has none.
func (v View) Hash() uint64 { return v.hash }

// Rand returns 64 random bits.
func (v View) Rand() uint64 {
	if r := v.s.rand; r != nil {
		return r()
	}
	return rand.Uint64()
}

// count returns how many are not to be skipped.
func (v View) count() int {
	if v.from == nil {
		return len(v.s.nodes)
	}
	return v.from.count
}

// nth returns the j-th of them.
func (v View) nth(j int) int {
	if v.from == nil {
		return j
	}
	return v.from.nth(j)
}

// pair returns two different ones, by a random word, of those that are not to be skipped, of which there
// are two or more.
func (v View) pair(r uint64) (int, int) {
	if v.from != nil && v.Len() > 64 && v.from.list == nil {
		if i, j := v.draw(r), v.draw(r>>32); i != j {
			return i, j
		}
	}
	i, j := two(r, v.count())
	return v.nth(i), v.nth(j)
}

// draw returns any of those that are not to be skipped. In a large set it is faster to
// draw from all, and again if that was one to be skipped, than to look for the place.
func (v View) draw(r uint64) int {
	for range 4 {
		if i := below(r, v.Len()); !v.Skip(i) {
			return i
		}
		r = r*0x9e3779b97f4a7c15 ^ r>>16
	}
	return v.nth(below(r, v.count()))
}

// chance returns a random number in [0, 1).
func (v View) chance() float64 { return float64(v.Rand()>>11) * 0x1p-53 }

// best returns the one with the lowest cost of those that are not to be skipped, any
// of them if several are equal.
func (v View) best(cost func(i int) float64) int {
	best, equal, lowest, r := 0, 0, 0.0, uint64(0)
	for i := range v.Len() {
		if v.Skip(i) {
			continue
		}
		switch c := cost(i); {
		case equal == 0 || c < lowest:
			best, equal, lowest = i, 1, c
		case c == lowest: // each of the equals must be as likely as the others in the end
			if equal == 1 {
				r = v.Rand()
			}
			equal++
			r = r*0x9e3779b97f4a7c15 + 1
			if below(r>>32, equal) == 0 {
				best = i
			}
		}
	}
	return best
}

// load is what one more call would make of an endpoint: the calls in flight, by
// weight, and by how often it fails.
func (v View) load(i int) float64 {
	n := v.s.nodes[i]
	load := float64(n.inFlight() + 1)
	if n.learnt.Load()>>32 != 0 { // a clock is read only for those that fail
		load *= float64(penalty(n.current(v.clock()).failures))
	}
	if v.s.even {
		return load
	}
	return load * v.s.members[i].inverse
}

// clock returns the time, also for policies that do not need it otherwise.
func (v View) clock() int64 {
	if v.now == 0 {
		return v.s.core.now()
	}
	return v.now
}

// below maps 32 random bits to [0, n).
func below(r uint64, n int) int { return int(r & (1<<32 - 1) * uint64(n) >> 32) }

// two returns two different numbers below n, which is 2 or more, from one word.
func two(r uint64, n int) (i, j int) {
	i, j = below(r, n), below(r>>32, n-1)
	if j >= i {
		j++
	}
	return i, j
}
