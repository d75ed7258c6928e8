package breaker

import (
	"math"
	"sync/atomic"
)

// A row counts the bad calls since the last good one. A good call that may still
// turn bad ends the row only for the time being: if it turns bad, and no other good
// call has come since, the row goes on as if it had been bad from the beginning.
//
// The lower half of the word is the count, the upper half the tag of the good call
// that ended the row last and may bring it back; 0: there is none. An empty row
// that nobody can bring back is 0, and a good call only reads it.
type row struct {
	word atomic.Uint64
	last atomic.Uint32 // the last tag
}

func (r *row) len() int    { return int(uint32(r.word.Load())) }
func (r *row) empty() bool { return r.word.Load() == 0 }

// end ends the row for a good call that stays good.
func (r *row) end() {
	if r.word.Load() != 0 { // rarely: to read is cheap, to write is not
		r.word.Store(0)
	}
}

// suspend ends the row for a good call that may turn bad. It returns what restore
// needs then.
func (r *row) suspend() (tag uint32, n int) {
	for {
		old := r.word.Load()
		n = min(int(uint32(old)), maxSuspended)
		next := uint64(0)
		if n > 0 {
			for tag == 0 {
				tag = r.last.Add(1)
			}
			next = uint64(tag) << 32
		}
		if old == next || r.word.CompareAndSwap(old, next) {
			return tag, n
		}
	}
}

// add counts a bad call.
func (r *row) add() {
	for {
		old := r.word.Load()
		if uint32(old) == math.MaxUint32 || r.word.CompareAndSwap(old, old+1) {
			return
		}
	}
}

// restore counts a call that was good when it called suspend, and is bad now.
func (r *row) restore(tag uint32, n int) {
	for {
		old := r.word.Load()
		next := old + 1
		if uint32(old) == math.MaxUint32 {
			return
		} else if tag != 0 && uint32(old>>32) == tag {
			next = uint64(min(int64(uint32(old))+int64(n)+1, math.MaxUint32))
		}
		if r.word.CompareAndSwap(old, next) {
			return
		}
	}
}
