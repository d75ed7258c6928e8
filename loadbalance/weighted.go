package loadbalance

import (
	"math"
	"sync/atomic"
)

// maxTurns bounds the schedule of a few members; many have turnsEach.
const (
	maxTurns  = 4096
	turnsEach = 64
)

// weighted is a schedule, made anew when the members change: a pick is one look into
// it however many there are.
type weighted struct {
	next  *atomic.Uint32
	turns []uint32
}

func newWeighted(v View) Policy {
	w := weighted{next: new(atomic.Uint32)}
	w.next.Store(uint32(v.Rand()))
	return w.Build(v)
}

func (w weighted) Build(v View) Policy {
	w.turns = turns(v)
	return w
}

func (w weighted) Next(v View) int {
	i := int(w.turns[w.next.Add(1)%uint32(len(w.turns))])
	if v.skip == nil || !v.Skip(i) {
		return i
	}
	for range 4 {
		if i = int(w.turns[w.next.Add(1)%uint32(len(w.turns))]); !v.Skip(i) {
			return i
		}
	}
	return leastLoaded{}.Next(v)
}

// turns spreads the turns of each member evenly, by sorting the middles of equal
// parts of the schedule, as many for each member as its weight gives it.
func turns(v View) []uint32 {
	counts, total := shares(v)
	start := make([]int, total+1)
	place := func(i, k int) int {
		return int((float64(k) + 0.5) / float64(counts[i]) * float64(total))
	}
	for i := range counts {
		for k := range counts[i] {
			start[place(i, k)+1]++
		}
	}
	for i := range total {
		start[i+1] += start[i]
	}
	list := make([]uint32, total)
	for i := range counts {
		for k := range counts[i] {
			p := place(i, k)
			list[start[p]] = uint32(i)
			start[p]++
		}
	}
	return list
}

// shares returns how many turns each member has: exactly its weight, over the
// lowest, where these are whole numbers and not too large.
func shares(v View) (counts []int, total int) {
	n := v.Len()
	limit := max(maxTurns, turnsEach*n)
	lowest, sum := math.Inf(1), 0.0
	for i := range n {
		lowest = min(lowest, v.Weight(i))
		sum += v.Weight(i)
	}
	unit := sum / float64(limit)
	for whole := 1; whole <= 10 && unit < lowest/float64(whole); whole++ {
		exact := true
		for i := range n {
			x := v.Weight(i) / lowest * float64(whole)
			exact = exact && math.Abs(x-math.Round(x)) < 1e-9*x
		}
		if exact {
			unit = lowest / float64(whole)
			break
		}
	}
	counts = make([]int, n)
	for i := range n {
		counts[i] = max(1, int(math.Round(v.Weight(i)/unit)))
		total += counts[i]
	}
	return counts, total
}
