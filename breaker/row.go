package breaker

import (
	"math"
	"sync/atomic"
)

// maxRow is where a row stops counting.
const maxRow = math.MaxInt32

// A row counts the bad calls since the last good one. A good call that may still
// turn bad suspends the row: it takes the count with it and, if it turns bad, brings
// it back, unless a call has ended well in the meantime. So the calls of a backend
// that always answers well and then breaks off are one row.
//
// The lower half of the word is the count. The upper half is the tag of those who have
// suspended the row and may bring something back; 0: there are none. A good end takes
// the tag away. An empty row without a tag is 0, and a good call only reads it.
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
		if old == 0 {
			return 0, 0
		}
		for tag = uint32(old >> 32); tag == 0; {
			tag = r.last.Add(1)
		}
		if r.word.CompareAndSwap(old, uint64(tag)<<32) {
			return tag, min(int(uint32(old)), maxSuspended)
		}
	}
}

// keep is for a call that called suspend and has ended well: those who called it too
// bring nothing back.
func (r *row) keep() {
	for {
		old := r.word.Load()
		if old>>32 == 0 || r.word.CompareAndSwap(old, uint64(uint32(old))) {
			return
		}
	}
}

// add counts a bad call.
func (r *row) add() {
	for {
		old := r.word.Load()
		if uint32(old) == maxRow || r.word.CompareAndSwap(old, old+1) {
			return
		}
	}
}

// restore counts a call that was good when it called suspend, and is bad now.
func (r *row) restore(tag uint32, n int) {
	for {
		old := r.word.Load()
		next := old + 1
		if uint32(old) == maxRow {
			return
		} else if tag != 0 && uint32(old>>32) == tag {
			next = uint64(tag)<<32 | uint64(min(int64(uint32(old))+int64(n)+1, maxRow))
		}
		if r.word.CompareAndSwap(old, next) {
			return
		}
	}
}
