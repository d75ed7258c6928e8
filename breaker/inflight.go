package breaker

import (
	"sync/atomic"
	"time"
)

// inflight knows how many calls have been running for too long, without a list of
// them. Calls are counted by the quarter of the limit in which they began: too
// long are all those that began more than four quarters ago. It has no lock.
//
// It holds that the calls of a quarter are counted in the quarter's cell or, when a
// later quarter has taken the cell, in older. While nobody is within begin or end,
// overdue is the number of calls that have begun so long ago and have not ended. A
// call that ends twice, as a copied Permit makes it do, takes the count of another
// call away, but never one that is not there: overdue can become too small, and
// never too large.
type inflight struct {
	quarter time.Duration
	recent  [8]atomic.Uint64 // the number of a quarter, in the upper half, and calls
	older   atomic.Int64     // calls that began before those
	looked  atomic.Uint32    // the quarter in which somebody last asked
}

func newInflight(limit time.Duration) *inflight { return &inflight{quarter: max(1, limit/4)} }

func (f *inflight) begin(now time.Duration) {
	n := uint32(now / f.quarter)
	cell := &f.recent[n%uint32(len(f.recent))]
	for {
		old := cell.Load()
		switch tag := uint32(old >> 32); {
		case later(tag, n): // we read the clock long ago
			f.older.Add(1)
			return
		case tag == n:
			if cell.CompareAndSwap(old, old+1) {
				return
			}
		case cell.CompareAndSwap(old, uint64(n)<<32|1):
			f.older.Add(int64(uint32(old)))
			return
		}
	}
}

func (f *inflight) end(began time.Duration) {
	n := uint32(began / f.quarter)
	cell := &f.recent[n%uint32(len(f.recent))]
	for {
		old := cell.Load()
		if uint32(old>>32) != n {
			f.older.Add(-1)
			return
		}
		if uint32(old) == 0 {
			return // all calls of this quarter have ended already
		}
		if cell.CompareAndSwap(old, old-1) {
			return
		}
	}
}

// due reports whether it is time to look at overdue, which is so once a quarter.
func (f *inflight) due(now time.Duration) bool {
	n := uint32(now / f.quarter)
	last := f.looked.Load()
	return n != last && f.looked.CompareAndSwap(last, n)
}

// overdue returns the number of calls that have been running for longer than the
// limit, those of up to a quarter longer excepted.
func (f *inflight) overdue(now time.Duration) int {
	n := uint32(now / f.quarter)
	calls := f.older.Load()
	for i := range f.recent {
		v := f.recent[i].Load()
		if tag := uint32(v >> 32); n-tag > 4 && !later(tag, n) {
			calls += int64(uint32(v))
		}
	}
	return int(max(0, calls))
}
