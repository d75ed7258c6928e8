package retry

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// sketch knows a quantile of the latest times recorded, to within 7 %. Times are
// counted in buckets, eight for each power of two; old ones fade, as all counts
// are halved from time to time. It is lock-free, and does not grow.
type sketch struct {
	q        float64
	counts   [8 * 64]atomic.Uint32
	recorded atomic.Uint64
	busy     atomic.Bool
	quantile atomic.Int64 // 0: not known yet
}

const (
	sketchFirst = 64   // so many times make a first quantile, and then a new one
	sketchHalve = 1024 // after so many the counts are halved
)

// value returns the quantile, 0 while too little is known.
func (s *sketch) value() time.Duration { return time.Duration(s.quantile.Load()) }

func (s *sketch) record(d time.Duration) {
	s.counts[bucket(d)].Add(1)
	n := s.recorded.Add(1)
	if n%sketchFirst == 0 && s.busy.CompareAndSwap(false, true) {
		s.update()
		if n%sketchHalve == 0 {
			s.halve()
		}
		s.busy.Store(false)
	}
}

func (s *sketch) update() {
	var counts [len(s.counts)]uint32
	total := uint64(0)
	for i := range s.counts {
		counts[i] = s.counts[i].Load()
		total += uint64(counts[i])
	}
	rank := uint64(math.Ceil(s.q * float64(total)))
	for i, c := range counts {
		if rank <= uint64(c) {
			s.quantile.Store(int64(upper(i)))
			return
		}
		rank -= uint64(c)
	}
}

func (s *sketch) halve() {
	for i := range s.counts {
		if c := s.counts[i].Load(); c > 0 {
			s.counts[i].Add(^((c+1)/2 - 1)) // takes (c+1)/2 away; what comes meanwhile is kept
		}
	}
}

// bucket returns the place of d: its highest bit, and the three below.
func bucket(d time.Duration) int {
	n := uint64(max(d, 8))
	shift := bits.Len64(n) - 4
	return shift*8 + int(n>>shift)
}

// upper returns the longest time in bucket i.
func upper(i int) time.Duration {
	shift, top := (i-8)/8, uint64(8+i%8)
	return time.Duration((top+1)<<shift - 1)
}
