package loadbalance

import (
	"math"
	"sync/atomic"
)

const (
	// maxTurns bounds the schedule of a few endpoints; many have turnsEach.
	maxTurns  = 4096
	turnsEach = 64
	// minTurns is how many an endpoint must have in a schedule: with fewer, rounding
	// would change its share.
	minTurns = 16
)

// weighted is a schedule, made anew for each set: a pick is one look into it, however
// many endpoints there are. Those whose weight is too low for it, compared with the
// others, have a schedule of their own, to which some turns of this one belong.
type weighted struct {
	turn  *atomic.Uint32
	turns []uint32 // indices of endpoints; lightTurn: one of the light ones
	light *lightTurns
}

const lightTurn = math.MaxUint32

// lightTurns are the endpoints with low weights. They have a whole number of turns, of
// which they take only the part that they should.
type lightTurns struct {
	passed atomic.Uint64 // of their turns
	part   float64       // that they take
	weighted
}

func newWeighted(v View) Policy {
	turn := new(atomic.Uint32)
	turn.Store(uint32(v.Rand()))
	return weighted{turn: turn}.Build(v)
}

// Build implements [Builder].
func (w weighted) Build(v View) Policy {
	all := make([]uint32, v.Len())
	for i := range all {
		all[i] = uint32(i)
	}
	return w.schedule(v, all)
}

func (w weighted) Next(v View) int {
	i := w.next()
	if !v.Skip(i) {
		return i
	}
	// The turn of one that is to be skipped belongs to all others by their weights,
	// not to the one that happens to follow.
	for range 8 {
		if i = w.at(v.Rand()); !v.Skip(i) {
			return i
		}
	}
	return p2c{}.Next(v)
}

// next takes a turn.
func (w *weighted) next() int {
	for {
		i := w.turns[w.turn.Add(1)%uint32(len(w.turns))]
		if i != lightTurn {
			return int(i)
		}
		if w.light.take() {
			return w.light.next()
		}
	}
}

// take reports whether a turn of the light ones is taken: as often as it should be, by
// carrying what is left over to the next.
func (l *lightTurns) take() bool {
	n := float64(l.passed.Add(1))
	return math.Floor(n*l.part) > math.Floor((n-1)*l.part)
}

// at returns an endpoint by its weight, at random.
func (w *weighted) at(r uint64) int {
	i := w.turns[below(r, len(w.turns))]
	if i == lightTurn {
		return w.light.at(HashUint64(r))
	}
	return int(i)
}

// schedule makes w the schedule of the endpoints in list.
func (w weighted) schedule(v View, list []uint32) weighted {
	heavy, counts, total, unit := shares(v, list)
	w.light = nil
	if len(heavy) < len(list) {
		var light []uint32
		sum := 0.0
		for k, i := range list { // heavy is in the order of list
			if at := k - len(light); at < len(heavy) && heavy[at] == i {
				continue
			}
			light = append(light, i)
			sum += v.Weight(int(i))
		}
		whole := max(1, math.Ceil(sum/unit))
		w.light = &lightTurns{part: sum / unit / whole}
		w.light.weighted = weighted{turn: new(atomic.Uint32)}.schedule(v, light)
		heavy, counts, total = append(heavy, lightTurn), append(counts, int(whole)), total+int(whole)
	}
	w.turns = spread(heavy, counts, total)
	return w
}

// spread gives each of list as many turns as counts says, as evenly as can be: it
// sorts the middles of equal parts of the schedule.
func spread(list []uint32, counts []int, total int) []uint32 {
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
	turns := make([]uint32, total)
	for i := range counts {
		for k := range counts[i] {
			p := place(i, k)
			turns[start[p]] = list[i]
			start[p]++
		}
	}
	return turns
}

// shares returns those of list that have turns of their own, and how many: exactly the
// weight over the lowest where these are whole numbers and not too large. A turn is for
// so much weight as unit says.
func shares(v View, list []uint32) (heavy []uint32, counts []int, total int, unit float64) {
	limit := max(maxTurns, turnsEach*len(list))
	lowest, sum := math.Inf(1), 0.0
	for _, i := range list {
		lowest = min(lowest, v.Weight(int(i)))
		sum += v.Weight(int(i))
	}
	unit = sum / float64(limit)
	least := float64(minTurns)
	for whole := 1; whole <= 10 && unit < lowest/float64(whole); whole++ {
		exact := true
		for _, i := range list {
			x := v.Weight(int(i)) / lowest * float64(whole)
			exact = exact && math.Abs(x-math.Round(x)) < 1e-9*x
		}
		if exact {
			unit, least = lowest/float64(whole), 0
			break
		}
	}
	for _, i := range list {
		if turns := v.Weight(int(i)) / unit; turns >= least {
			heavy = append(heavy, i)
			counts = append(counts, max(1, int(math.Round(turns))))
			total += counts[len(counts)-1]
		}
	}
	return heavy, counts, total, unit
}
