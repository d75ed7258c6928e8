package loadbalance_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// A load is a count on a cache line of its own.
type load struct {
	inFlight atomic.Int64
	_        [56]byte
}

var sink atomic.Int64 // what a floor has picked

func count(b *testing.B, n int) {
	var next atomic.Uint64
	picked := 0
	b.ReportAllocs()
	for b.Loop() {
		picked = int(next.Add(1) % uint64(n))
	}
	sink.Store(int64(picked))
}

func countTurns(b *testing.B, n int) {
	loads := make([]load, n)
	var next atomic.Uint64
	b.ReportAllocs()
	for b.Loop() {
		x := &loads[next.Add(1)%uint64(n)]
		x.inFlight.Add(1)
		x.inFlight.Add(-1)
	}
}

func countPar(b *testing.B, n int) {
	var next atomic.Uint64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		picked := 0
		for pb.Next() {
			picked = int(next.Add(1) % uint64(n))
		}
		sink.Store(int64(picked))
	})
}

func countPairs(b *testing.B, n int) {
	loads := make([]load, n)
	b.ReportAllocs()
	for b.Loop() {
		r := rand.Uint64()
		x, y := &loads[r>>32*uint64(n)>>32], &loads[r&(1<<32-1)*uint64(n)>>32]
		if y.inFlight.Load() < x.inFlight.Load() {
			x = y
		}
		x.inFlight.Add(1)
		x.inFlight.Add(-1)
	}
}

func countPairsPar(b *testing.B, n int) {
	loads := make([]load, n)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := rand.Uint64()
			x, y := &loads[r>>32*uint64(n)>>32], &loads[r&(1<<32-1)*uint64(n)>>32]
			if y.inFlight.Load() < x.inFlight.Load() {
				x = y
			}
			x.inFlight.Add(1)
			x.inFlight.Add(-1)
		}
	})
}

func timePairs(b *testing.B, n int) {
	loads, epoch := make([]load, n), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		began := time.Since(epoch)
		r := rand.Uint64()
		x, y := &loads[r>>32*uint64(n)>>32], &loads[r&(1<<32-1)*uint64(n)>>32]
		if y.inFlight.Load() < x.inFlight.Load() {
			x = y
		}
		x.inFlight.Add(1)
		if time.Since(epoch) < began {
			b.Fatal("time runs backwards")
		}
		x.inFlight.Add(-1)
	}
}

func timePairsPar(b *testing.B, n int) {
	loads, epoch := make([]load, n), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			began := time.Since(epoch)
			r := rand.Uint64()
			x, y := &loads[r>>32*uint64(n)>>32], &loads[r&(1<<32-1)*uint64(n)>>32]
			if y.inFlight.Load() < x.inFlight.Load() {
				x = y
			}
			x.inFlight.Add(1)
			if time.Since(epoch) < began {
				b.Error("time runs backwards")
				return
			}
			x.inFlight.Add(-1)
		}
	})
}
