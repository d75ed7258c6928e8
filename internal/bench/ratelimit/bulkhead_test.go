package ratelimit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/ratelimit"
	failsafe "github.com/failsafe-go/failsafe-go/bulkhead"
	"golang.org/x/sync/semaphore"
)

// A place is taken and given back. The context can be cancelled, as that of a request
// can; there are a hundred places, or a single one that is taken already.
const places = 100

func bulkhead(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.Run("belay", func(b *testing.B) {
		bulkhead := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: places})
		b.ReportAllocs()
		for b.Loop() {
			permit, err := bulkhead.Acquire(ctx)
			if err != nil {
				b.Fatal(err)
			}
			permit.Done()
		}
	})
	b.Run("semaphore", func(b *testing.B) {
		weighted := semaphore.NewWeighted(places)
		b.ReportAllocs()
		for b.Loop() {
			if err := weighted.Acquire(ctx, 1); err != nil {
				b.Fatal(err)
			}
			weighted.Release(1)
		}
	})
	b.Run("channel", func(b *testing.B) {
		slots := make(chan struct{}, places)
		b.ReportAllocs()
		for b.Loop() {
			select {
			case slots <- struct{}{}:
				<-slots
			case <-ctx.Done():
				b.Fatal(ctx.Err())
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		bulkhead := failsafe.New[any](places)
		b.ReportAllocs()
		for b.Loop() {
			if err := bulkhead.AcquirePermit(ctx); err != nil {
				b.Fatal(err)
			}
			bulkhead.ReleasePermit()
		}
	})
	// A place cannot be taken and given back with less than two locked instructions.
	b.Run("floor", func(b *testing.B) {
		var free atomic.Int64
		free.Store(places)
		b.ReportAllocs()
		for b.Loop() {
			if n := free.Load(); n <= 0 || !free.CompareAndSwap(n, n-1) {
				b.Fatal("no place is free")
			}
			free.Add(1)
		}
	})
}

func bulkheadPar(b *testing.B) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.Run("belay", func(b *testing.B) {
		bulkhead := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: places})
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				permit, err := bulkhead.Acquire(ctx)
				if err != nil {
					b.Error(err)
					return
				}
				permit.Done()
			}
		})
	})
	b.Run("semaphore", func(b *testing.B) {
		weighted := semaphore.NewWeighted(places)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := weighted.Acquire(ctx, 1); err != nil {
					b.Error(err)
					return
				}
				weighted.Release(1)
			}
		})
	})
	b.Run("channel", func(b *testing.B) {
		slots := make(chan struct{}, places)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				select {
				case slots <- struct{}{}:
					<-slots
				case <-ctx.Done():
					b.Error(ctx.Err())
					return
				}
			}
		})
	})
	b.Run("failsafe", func(b *testing.B) {
		bulkhead := failsafe.New[any](places)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := bulkhead.AcquirePermit(ctx); err != nil {
					b.Error(err)
					return
				}
				bulkhead.ReleasePermit()
			}
		})
	})
	b.Run("floor", func(b *testing.B) {
		var free atomic.Int64
		free.Store(places)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				for {
					if n := free.Load(); free.CompareAndSwap(n, n-1) {
						break
					}
				}
				free.Add(1)
			}
		})
	})
}

func bulkheadFull(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		bulkhead := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1})
		bulkhead.Allow()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bulkhead.Allow(); err == nil {
				b.Fatal("a place is free")
			}
		}
	})
	b.Run("semaphore", func(b *testing.B) {
		weighted := semaphore.NewWeighted(1)
		weighted.TryAcquire(1)
		b.ReportAllocs()
		for b.Loop() {
			if weighted.TryAcquire(1) {
				b.Fatal("a place is free")
			}
		}
	})
	b.Run("channel", func(b *testing.B) {
		slots := make(chan struct{}, 1)
		slots <- struct{}{}
		b.ReportAllocs()
		for b.Loop() {
			select {
			case slots <- struct{}{}:
				b.Fatal("a place is free")
			default:
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		bulkhead := failsafe.New[any](1)
		bulkhead.TryAcquirePermit()
		b.ReportAllocs()
		for b.Loop() {
			if bulkhead.TryAcquirePermit() {
				b.Fatal("a place is free")
			}
		}
	})
}

func bulkheadFullPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		bulkhead := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1})
		bulkhead.Allow()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := bulkhead.Allow(); err == nil {
					b.Error("a place is free")
					return
				}
			}
		})
	})
	b.Run("semaphore", func(b *testing.B) {
		weighted := semaphore.NewWeighted(1)
		weighted.TryAcquire(1)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if weighted.TryAcquire(1) {
					b.Error("a place is free")
					return
				}
			}
		})
	})
	b.Run("channel", func(b *testing.B) {
		slots := make(chan struct{}, 1)
		slots <- struct{}{}
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				select {
				case slots <- struct{}{}:
					b.Error("a place is free")
					return
				default:
				}
			}
		})
	})
	b.Run("failsafe", func(b *testing.B) {
		bulkhead := failsafe.New[any](1)
		bulkhead.TryAcquirePermit()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if bulkhead.TryAcquirePermit() {
					b.Error("a place is free")
					return
				}
			}
		})
	})
}
