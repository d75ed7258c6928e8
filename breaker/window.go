package breaker

import (
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
	kinds
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
type counts [kinds]int

func (c counts) calls() int  { return c[good] + c.bad() }
func (c counts) bad() int    { return c[failed] + c[slow] + c[slowAndFailed] }
func (c counts) failed() int { return c[failed] + c[slowAndFailed] }
func (c counts) slow() int   { return c[slow] + c[slowAndFailed] }

// window counts calls over the last ten steps of time, the current one, which is
// not over yet, included. It has no lock. Where goroutines get in each other's way they
// count in different stripes, if they can, since one shared counter costs more than
// the whole rest of a call.
type window struct {
	step   time.Duration
	newest atomic.Int64 // a step that was current not long ago
	more   atomic.Pointer[[stripes - 1]stripe]
	_      [64]byte // all read what is above, and only write what is below
	first  stripe
}

// number returns the number of the step that now is in. It is that of the last
// call, mostly, which saves a division.
func (w *window) number(now time.Duration) uint32 {
	n := w.newest.Load()
	if uint64(now)-uint64(n)*uint64(w.step) >= uint64(w.step) {
		n = int64(now / w.step)
		w.newest.Store(n)
	}
	return uint32(n)
}

// A stripe has a cell for each step and kind: the number of the step that it
// counts for, in the upper half, and the count.
type stripe struct {
	cells [steps][kinds]atomic.Uint64
	_     [64]byte // to the next stripe
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

// add counts a call that ended at now. A cell that is full stays so.
func (w *window) add(now time.Duration, k kind) {
	n := w.number(now)
	s := &w.first
	if more := w.more.Load(); more != nil {
		// Goroutines differ in where their stacks are.
		var here byte
		h := uint64(uintptr(unsafe.Pointer(&here))>>11) * 0x9E3779B97F4A7C15 >> 32 % stripes
		if h > 0 {
			s = &more[h-1]
		}
	}
	cell := &s.cells[n%steps][k]
	for {
		old := cell.Load()
		next := old + 1
		if tag := uint32(old >> 32); later(tag, n) {
			return // the call ended a whole window ago, and we come to say so now
		} else if tag != n {
			next = uint64(n)<<32 | 1
		} else if uint32(next) == 0 {
			return
		}
		if cell.CompareAndSwap(old, next) {
			return
		}
		if w.more.Load() == nil {
			w.more.CompareAndSwap(nil, new([stripes - 1]stripe))
		}
	}
}

// takeBack removes a good call that was added at that time, if its step is still in
// the window. Goroutines move: it may have been counted in any stripe.
func (w *window) takeBack(at time.Duration) {
	n := uint32(at / w.step)
	for s := range w.all {
		cell := &s.cells[n%steps][good]
		for old := cell.Load(); uint32(old>>32) == n && uint32(old) > 0; old = cell.Load() {
			if cell.CompareAndSwap(old, old-1) {
				return
			}
		}
	}
}

// later reports whether step a comes after b. The numbers wrap, and a cell can be
// untouched for as long as that takes, so that only a little later is later.
func later(a, b uint32) bool { return a-b-1 < 1<<16 }

// sum adds up what is in the window at now.
func (w *window) sum(now time.Duration) (c counts) {
	n := uint32(now / w.step)
	for s := range w.all {
		for i := range s.cells {
			for k := range kinds {
				v := s.cells[i][k].Load()
				if tag := uint32(v >> 32); n-tag < steps || later(tag, n) {
					c[k] += int(uint32(v))
				}
			}
		}
	}
	return c
}
