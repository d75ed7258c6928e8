package breaker

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// steps is the number of parts that a window moves in.
const steps = 10

// kind is how a call counts.
type kind uint8

const (
	good kind = iota
	failed
	slow // but not failed
	slowAndFailed
	ignored
	refused
	overruled
	kinds
	judgedKinds = ignored // those before it, which count in the window
)

// kindOf returns how a call with an outcome counts.
func kindOf(o Outcome, tooLong bool) kind {
	switch {
	case o == Failure && tooLong:
		return slowAndFailed
	case o == Failure:
		return failed
	case tooLong:
		return slow
	}
	return good
}

// counts are calls of the last ten steps, by kind.
type counts [judgedKinds]int

func (c counts) calls() int  { return c[good] + c.bad() }
func (c counts) bad() int    { return c[failed] + c[slow] + c[slowAndFailed] }
func (c counts) failed() int { return c[failed] + c[slowAndFailed] }
func (c counts) slow() int   { return c[slow] + c[slowAndFailed] }

// window counts calls over the last ten steps of time, the current one, which is
// not over yet, included. It has no lock. Where goroutines get in each other's way they
// count in different stripes, if they can, since one shared counter costs more than
// the whole rest of a call.
//
// It also counts all calls since the beginning, at no further price: who takes a cell
// for a new step adds what was in it to the total.
//
// One window serves all closed episodes of a breaker. Each of them numbers its steps
// from its shift on, ten more than that of the one before. So it begins with an empty
// window, and calls of earlier episodes that end late fall to the totals.
type window struct {
	step   time.Duration
	newest atomic.Int64 // a step that was current not long ago
	more   atomic.Pointer[[stripes - 1]stripe]
	_      [64]byte // all read what is above, and only write what is below
	first  stripe
}

// number returns the number of the step that now is in, before any shift. It is that
// of the last call, mostly, which saves a division.
func (w *window) number(now time.Duration) uint32 {
	n := w.newest.Load()
	if uint64(now)-uint64(n)*uint64(w.step) >= uint64(w.step) {
		n = int64(now / w.step)
		w.newest.Store(n)
	}
	return uint32(n)
}

// A stripe has a cell for each step and kind: the number of the step that it
// counts for, in the upper half, and the count. The totals are what is in no cell.
type stripe struct {
	cells  [steps][judgedKinds]atomic.Uint64
	totals [kinds]atomic.Uint64
	_      [64]byte // to the next stripe
}

// stripes is the number of stripes of a busy window, which has 3 KiB then.
const stripes = 8

// all yields the stripes.
func (w *window) all(yield func(*stripe) bool) {
	if !yield(&w.first) {
		return
	}
	if more := w.more.Load(); more != nil {
		for i := range more {
			if !yield(&more[i]) {
				return
			}
		}
	}
}

// mine returns the stripe of this goroutine.
func (w *window) mine() *stripe {
	if more := w.more.Load(); more != nil {
		// Goroutines differ in where their stacks are.
		var here byte
		h := uint64(uintptr(unsafe.Pointer(&here))>>11) * 0x9E3779B97F4A7C15 >> 32 % stripes
		if h > 0 {
			return &more[h-1]
		}
	}
	return &w.first
}

// widen is for a goroutine that another one got in the way of.
func (w *window) widen() {
	if w.more.Load() == nil {
		w.more.CompareAndSwap(nil, new([stripes - 1]stripe))
	}
}

// add counts a call that ended at now.
func (w *window) add(now time.Duration, shift uint32, k kind) {
	n := w.number(now) + shift
	s := w.mine()
	cell := &s.cells[n%steps][k]
	for {
		old := cell.Load()
		if uint32(old>>32) == n && uint32(old) < math.MaxUint32 {
			if cell.CompareAndSwap(old, old+1) {
				return
			}
		} else if later(uint32(old>>32), n-1) { // it is full, or of a later step, or episode
			s.totals[k].Add(1)
			return
		} else if cell.CompareAndSwap(old, uint64(n)<<32|1) {
			s.totals[k].Add(uint64(uint32(old)))
			return
		}
		w.widen()
	}
}

// count counts a call in the totals alone.
func (w *window) count(k kind) {
	total := &w.mine().totals[k]
	if n := total.Load(); !total.CompareAndSwap(n, n+1) {
		w.widen()
		total.Add(1)
	}
}

// takeBack removes a good call that was added at that time: from its step, if that is
// still in the window, or from the totals. Goroutines move: it may have been counted in
// any stripe.
func (w *window) takeBack(at time.Duration, shift uint32) {
	n := uint32(at/w.step) + shift
	for s := range w.all {
		cell := &s.cells[n%steps][good]
		for old := cell.Load(); uint32(old>>32) == n && uint32(old) > 0; old = cell.Load() {
			if cell.CompareAndSwap(old, old-1) {
				return
			}
		}
	}
	w.uncount()
}

// uncount removes a good call from the totals. That of a stripe may fall below zero;
// their sum does not.
func (w *window) uncount() { w.first.totals[good].Add(^uint64(0)) }

// later reports whether step a comes after b. The numbers wrap, and a cell can be
// untouched for as long as that takes, so that only a little later is later.
func later(a, b uint32) bool { return a-b-1 < 1<<16 }

// sum adds up what is in the window at now.
func (w *window) sum(now time.Duration, shift uint32) (c counts) {
	n := uint32(now/w.step) + shift
	for s := range w.all {
		for i := range s.cells {
			for k := range judgedKinds {
				v := s.cells[i][k].Load()
				if tag := uint32(v >> 32); n-tag < steps || later(tag, n) {
					c[k] += int(uint32(v))
				}
			}
		}
	}
	return c
}

// total adds up all calls since the beginning. A call that goes from a cell to the
// total meanwhile may be missing, but none counts twice: the totals are read first.
func (w *window) total() (sums [kinds]uint64) {
	for s := range w.all {
		for k := range kinds {
			sums[k] += s.totals[k].Load()
		}
		for i := range s.cells {
			for k := range judgedKinds {
				sums[k] += uint64(uint32(s.cells[i][k].Load()))
			}
		}
	}
	return sums
}
