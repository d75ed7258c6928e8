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
		i, j := v.pair()
		if v.cheaper(j, i) {
			return j
		}
		return i
	case v.Len() > scan:
		return v.best(func(i int) float64 { return float64(v.cost(i)) })
	}
	return v.cheapest()
}

// alike is by how much the keys of endpoints that are alike differ at most: one of them
// is less than twice as expensive as the other.
const alike = 1

// cheapest compares all that are busy, and of the idle ones two at random by their keys,
// which may be alike. Were it to take the best of the idle ones, the one that happens to
// have answered fastest would have most of the calls for seconds when there are few.
func (v View) cheapest() int {
	var keys [scan]float64 // of the idle ones
	idle := uint64(0)
	busy, lowest := uint64(0), float32(math.Inf(1)) // busy has those with the lowest cost
	for i, n := range v.s.nodes {
		if v.Skip(i) {
			continue
		}
		if key := v.idleKey(i, n); key == key {
			if n.learnt.Load()>>32 != 0 {
				key += alike // one that fails is not like the others
			}
			keys[i] = key
			idle |= 1 << i
		} else if c := v.cost(i); c < lowest {
			busy, lowest = 1<<i, c
		} else if c == lowest {
			busy |= 1 << i
		}
	}
	best := -1
	switch n := bits.OnesCount64(idle); {
	case n > 1:
		i, j := two(v.Rand(), n)
		i, j = nthBit(idle, i), nthBit(idle, j)
		if best = i; keys[j] < keys[i]-alike {
			best = j
		}
	case n == 1:
		best = bits.TrailingZeros64(idle)
	}
	if best < 0 || busy != 0 && lowest < v.cost(best) {
		return v.oneOf(busy)
	}
	return best
}

// oneOf returns any of the bits of a word.
func (v View) oneOf(word uint64) int {
	if n := bits.OnesCount64(word); n > 1 {
		return nthBit(word, below(v.Rand(), n))
	}
	return bits.TrailingZeros64(word)
}

// cheaper reports whether j costs less than i.
func (v View) cheaper(j, i int) bool {
	a, b := v.idleKey(j, v.s.nodes[j]), v.idleKey(i, v.s.nodes[i])
	if a == a && b == b {
		return a < b
	}
	return v.cost(j) < v.cost(i)
}

// idleKey is the key of an idle node, with its weight, and not a number for others.
func (v View) idleKey(i int, n *node) float64 {
	if (n.waiting.Load()|n.open.Load())&countMask != 0 {
		return math.NaN()
	}
	key := math.Float64frombits(n.key.Load())
	if key != key { // it has failures
		key = n.keyOf(n.current(v.now), v.now)
	}
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
