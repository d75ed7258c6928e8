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
		i, j := two(v.Rand(), n)
		i, j = v.nth(i), v.nth(j)
		if v.cost(j) < v.cost(i) {
			return j
		}
		return i
	case v.Len() > 64:
		return v.best(func(i int) float64 { return float64(v.cost(i)) })
	}
	lowest, equal := float32(math.Inf(1)), uint64(0) // equal has a bit for each of the best
	now, even := uint32(v.now>>quickBits), v.s.even
	for i, node := range v.s.nodes {
		if v.Skip(i) {
			continue
		}
		// What follows is cost, for the usual case: a call less is a fifth of the time.
		quick := node.quick.Load()
		c := math.Float32frombits(uint32(quick >> 32))
		if !even || now-uint32(quick) > v.s.stale || node.waiting.Load()&countMask|uint64(node.open.Load()) != 0 {
			c = v.cost(i)
		}
		if c < lowest {
			lowest, equal = c, 1<<i
		} else if c == lowest {
			equal |= 1 << i
		}
	}
	if count := bits.OnesCount64(equal); count > 1 {
		return nthBit(equal, below(v.Rand(), count))
	}
	return bits.TrailingZeros64(equal)
}

// cost is that of a node, over its weight. It goes without saying much for one that
// is idle and has been heard of just now.
func (v View) cost(i int) float32 {
	n := v.s.nodes[i]
	quick := n.quick.Load()
	c := math.Float32frombits(uint32(quick >> 32))
	if n.waiting.Load()&countMask|uint64(n.open.Load()) != 0 || uint32(v.now>>quickBits)-uint32(quick) > v.s.stale {
		c = n.cost(v.now)
	}
	if v.s.even {
		return c
	}
	return c * float32(v.s.members[i].inverse)
}
