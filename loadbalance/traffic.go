package loadbalance

import "sync/atomic"

// traffic is the calls to an endpoint.
//
// waiting holds, in one word, the number of calls without an answer in its low bits. Above
// them, where calls are timed, is the sum of the ticks at which they began, modulo what
// fits in: the sum of their ages is exact all the same, as long as it fits in itself.
// Where calls are not timed it is how many have begun, and so it is in open.
type traffic struct {
	waiting atomic.Uint64
	open    atomic.Uint64 // calls that are answered and have not ended
	ended   atomic.Uint64 // calls that are in neither of the other words
}

const (
	countBits = 20
	countMask = 1<<countBits - 1
	oneCall   = 1<<countBits | 1
	tickBits  = 12 // a tick is 4 microseconds
)

// begun is what a call that began at start adds to waiting. A start of 0 is that of a
// call that is not timed.
func begun(start int64) uint64 {
	if start == 0 {
		return oneCall
	}
	return uint64(start>>tickBits)<<countBits | 1
}

// begin counts a call, unless limit calls are in flight already. 0 is no limit.
func (t *traffic) begin(start int64, limit int) bool {
	t.waiting.Add(begun(start))
	if limit > 0 && t.inFlight() > limit {
		t.takeBack(start)
		return false
	}
	return true
}

// takeBack undoes begin.
func (t *traffic) takeBack(start int64) { t.waiting.Add(-begun(start)) }

// answer counts that a call has its answer.
func (t *traffic) answer(start int64) {
	t.open.Add(oneCall)
	if t.waiting.Add(-begun(start))&countMask == countMask {
		t.waiting.Add(begun(start))
		t.open.Add(^uint64(oneCall - 1))
		panic(errDoneTwice)
	}
}

// end counts the end of a call without an answer.
func (t *traffic) end(start int64) {
	less := uint64(1)
	if start != 0 {
		t.ended.Add(1) // first: with the last call in flight its endpoint may be forgotten
		less = begun(start)
	}
	if t.waiting.Add(-less)&countMask == countMask {
		if t.waiting.Add(less); start != 0 {
			t.ended.Add(^uint64(0))
		}
		panic(errDoneTwice)
	}
}

// endAnswered counts the end of a call that has its answer.
func (t *traffic) endAnswered() {
	if t.open.Add(^uint64(0))&countMask == countMask {
		t.open.Add(1)
		panic(errDoneTwice)
	}
}

// errDoneTwice is what a panic says.
const errDoneTwice = "loadbalance: a Pick was done twice, by way of a copy"

func (t *traffic) inFlight() int { return int(t.waiting.Load()&countMask + t.open.Load()&countMask) }

// idle returns 1 if no calls are in flight, and otherwise 0.
func (t *traffic) idle() uint64 {
	return ((t.waiting.Load()|t.open.Load())&countMask - 1) >> 63
}

// calls returns how many calls have ended. Only an end adds to what each of the words
// says of that, so the sum never falls, whatever happens while they are read.
func (t *traffic) calls(timed bool) uint64 {
	open := t.open.Load()
	calls := t.ended.Load() + open>>countBits - open&countMask
	if !timed {
		waiting := t.waiting.Load()
		calls += waiting>>countBits - waiting&countMask
	}
	return calls
}

// ages returns the sum of the ages of the calls without an answer.
func ages(waiting uint64, now int64) float64 {
	sum := (waiting&countMask)*uint64(now>>tickBits) - waiting>>countBits
	return float64(sum<<countBits>>countBits) * (1 << tickBits)
}

// tally counts the calls that ended otherwise than well.
type tally struct{ failed, overloaded, ignored atomic.Uint64 }

// count counts a call to a node that has ended.
func (c *core) count(n *node, o Outcome) {
	switch o {
	case Failure:
		c.failed.Add(1)
		n.health.failed.Add(1)
	case Overload:
		n.health.overloaded.Add(1)
	case Ignored:
		n.health.ignored.Add(1)
	}
}
