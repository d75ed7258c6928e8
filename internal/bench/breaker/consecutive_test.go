package breaker_test

import (
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/sony/gobreaker/v2"
)

// aegis and go-zero cannot count consecutive failures.

func consecutive(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belayConsecutive)
		br, ctx := breaker.New(belayConsecutive), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := breaker.Do(ctx, br, succeed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		openGobreaker(b, gobreakerConsecutive)
		br := gobreaker.NewCircuitBreaker[int](gobreakerConsecutive)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := br.Execute(succeedPlain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		openFailsafe(b, failsafeConsecutive())
		br, ctx := failsafeConsecutive(), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if !br.TryAcquirePermit() {
				b.Fatal("rejected")
			}
			if _, err := succeed(ctx); err != nil {
				b.Fatal(err)
			}
			br.RecordSuccess()
		}
	})
	b.Run("failsafe-executor", func(b *testing.B) {
		openFailsafe(b, failsafeConsecutive())
		exec := failsafe.With(failsafeConsecutive())
		b.ReportAllocs()
		for b.Loop() {
			if _, err := exec.Get(succeedPlain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		var state atomic.Uint32
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if state.Load() != 0 {
				b.Fatal("rejected")
			}
			if _, err := succeed(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func consecutivePar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belayConsecutive)
		br, ctx := breaker.New(belayConsecutive), b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := breaker.Do(ctx, br, succeed); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("gobreaker", func(b *testing.B) {
		openGobreaker(b, gobreakerConsecutive)
		br := gobreaker.NewCircuitBreaker[int](gobreakerConsecutive)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := br.Execute(succeedPlain); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("failsafe", func(b *testing.B) {
		openFailsafe(b, failsafeConsecutive())
		br, ctx := failsafeConsecutive(), b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !br.TryAcquirePermit() {
					b.Error("rejected")
					return
				}
				if _, err := succeed(ctx); err != nil {
					b.Error(err)
					return
				}
				br.RecordSuccess()
			}
		})
	})
	b.Run("failsafe-executor", func(b *testing.B) {
		openFailsafe(b, failsafeConsecutive())
		exec := failsafe.With(failsafeConsecutive())
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := exec.Get(succeedPlain); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("floor", func(b *testing.B) {
		var state atomic.Uint32
		ctx := b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if state.Load() != 0 {
					b.Error("rejected")
					return
				}
				if _, err := succeed(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
