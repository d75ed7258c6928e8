package loadbalance

import (
	"math"
	"math/bits"
)

// scan is how many endpoints peak EWMA compares with each other.
const scan = 16

type peakEWMA struct{}

func (peakEWMA) Next(v View) int {
	switch n := v.count(); {
	case n > scan:
		r := v.Rand()
		i, j := v.pair(r)
		if v.cheaper(j, i) {
			i, j = j, i
		}
		if explores(r) && v.fails(j) && v.s.nodes[j].silent(v.now) {
			return j
		}
		return i
	case v.Len() > scan:
		return v.best(func(i int) float64 { return float64(v.cost(i)) })
	}
	return v.cheapest()
}

// cheapest compares all that are busy, and of the idle ones two at random, which may be
// alike. Were it to take the best of the idle ones, the one that happens to have answered
// fastest would have most of the calls for seconds when there are few.
func (v View) cheapest() int {
	left := ^uint64(0)
	if v.from != nil {
		left = v.from.words[0]
	}
	idle := uint64(0)
	for i, n := range v.s.nodes {
		idle |= n.idle() << i
	}
	idle &= left
	left &^= idle
	busy, lowest := uint64(0), float32(math.Inf(1)) // busy has those with the lowest cost
	for left &= 1<<len(v.s.nodes) - 1; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(left)
		if c := v.cost(i); c < lowest {
			busy, lowest = 1<<i, c
		} else if c == lowest {
			busy |= 1 << i
		}
	}
	if idle == 0 {
		return v.oneOf(busy)
	}
	best := bits.TrailingZeros64(idle)
	if n := bits.OnesCount64(idle); n > 1 {
		r := v.Rand()
		if explores(r) {
			if i, ok := v.silent(idle); ok {
				return i
			}
		}
		i, j := twoOf(idle, n, len(v.s.nodes), r)
		if best = i; v.beats(j, i) {
			best = j
		}
	}
	if busy != 0 && lowest < v.cost(best) {
		return v.oneOf(busy)
	}
	return best
}

// twoOf returns two different ones of the n bits of a word of so many bits, of which there
// are two or more.
func twoOf(word uint64, n, of int, r uint64) (int, int) {
	i, j := two(r, n)
	if n == of {
		return i, j
	}
	return nthBit(word, i), nthBit(word, j)
}

// explores reports whether a pick is one of the few, one of 64, that try an endpoint which
// is avoided because it has failed, and of which nothing was heard since. It may be well.
func explores(r uint64) bool { return r&63 == 0 }

// silent returns that of the bits of a word which has been silent for longest.
func (v View) silent(word uint64) (best int, ok bool) {
	oldest := v.now - v.s.core.silence
	for ; word != 0; word &= word - 1 {
		i := bits.TrailingZeros64(word)
		if stamp := v.s.nodes[i].stamp.Load(); stamp < oldest && v.fails(i) {
			best, ok, oldest = i, true, stamp
		}
	}
	return best, ok
}

// oneOf returns any of the bits of a word.
func (v View) oneOf(word uint64) int {
	if n := bits.OnesCount64(word); n > 1 {
		return nthBit(word, below(v.Rand(), n))
	}
	return bits.TrailingZeros64(word)
}

const (
	// alike is the logarithm of how many times more expensive the one of two idle
	// endpoints may be that are alike.
	alike = 1
	// handicap is how many times cheaper one that fails must be than one that does not.
	// A quick answer or two must not make up for that.
	handicap = 8
)

// beats reports whether of two idle endpoints j is taken rather than i: if the two are not
// alike, and it costs less.
func (v View) beats(j, i int) bool {
	a, b := v.key(j), v.key(i)
	if a == a && b == b {
		return a < b-alike
	}
	switch fails := v.fails(j); {
	case fails == v.fails(i):
		return v.cost(j)*(1<<alike) < v.cost(i)
	case fails:
		return v.cost(j)*handicap < v.cost(i)
	}
	return v.cost(j) <= v.cost(i)*handicap
}

func (v View) fails(i int) bool { return v.s.nodes[i].learnt.Load()>>32 != 0 }

// cheaper reports whether j costs less than i.
func (v View) cheaper(j, i int) bool {
	if v.s.nodes[i].idle()&v.s.nodes[j].idle() != 0 {
		if a, b := v.key(j), v.key(i); a == a && b == b {
			return a < b
		}
	}
	return v.cost(j) < v.cost(i)
}

// key is that of a node, with its weight; not a number if the node has failures.
func (v View) key(i int) float64 {
	key := math.Float64frombits(v.s.nodes[i].key.Load())
	if v.s.even {
		return key
	}
	return key + v.s.members[i].heft
}

// cost is that of a node, over its weight.
func (v View) cost(i int) float32 {
	c := v.s.nodes[i].cost(v.now)
	if v.s.even {
		return c
	}
	return c * float32(v.s.members[i].inverse)
}
