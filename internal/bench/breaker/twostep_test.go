package breaker_test

import (
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/sony/gobreaker/v2"
	gozero "github.com/zeromicro/go-zero/core/breaker"
)

// The breakers count consecutive failures; aegis and go-zero, which cannot, have
// their window.

func twoStep(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belayConsecutive)
		br := breaker.New(belayConsecutive)
		b.ReportAllocs()
		for b.Loop() {
			permit, err := br.Allow()
			if err != nil {
				b.Fatal(err)
			}
			permit.Done(breaker.Success)
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		openGobreaker(b, gobreakerConsecutive)
		br := gobreaker.NewTwoStepCircuitBreaker[int](gobreakerConsecutive)
		b.ReportAllocs()
		for b.Loop() {
			done, err := br.Allow()
			if err != nil {
				b.Fatal(err)
			}
			done(nil)
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		openFailsafe(b, failsafeConsecutive())
		br := failsafeConsecutive()
		b.ReportAllocs()
		for b.Loop() {
			if !br.TryAcquirePermit() {
				b.Fatal("rejected")
			}
			br.RecordSuccess()
		}
	})
	b.Run("aegis", func(b *testing.B) {
		openAegis(b)
		br := aegis()
		b.ReportAllocs()
		for b.Loop() {
			if err := br.Allow(); err != nil {
				b.Fatal(err)
			}
			br.MarkSuccess()
		}
	})
	b.Run("go-zero", func(b *testing.B) {
		openGozero(b)
		br := gozero.NewBreaker()
		b.ReportAllocs()
		for b.Loop() {
			promise, err := br.Allow()
			if err != nil {
				b.Fatal(err)
			}
			promise.Accept()
		}
	})
	b.Run("floor", func(b *testing.B) {
		var state atomic.Uint32
		b.ReportAllocs()
		for b.Loop() {
			if state.Load() != 0 {
				b.Fatal("rejected")
			}
		}
	})
}

func twoStepPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belayConsecutive)
		br := breaker.New(belayConsecutive)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				permit, err := br.Allow()
				if err != nil {
					b.Error(err)
					return
				}
				permit.Done(breaker.Success)
			}
		})
	})
	b.Run("gobreaker", func(b *testing.B) {
		openGobreaker(b, gobreakerConsecutive)
		br := gobreaker.NewTwoStepCircuitBreaker[int](gobreakerConsecutive)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				done, err := br.Allow()
				if err != nil {
					b.Error(err)
					return
				}
				done(nil)
			}
		})
	})
	b.Run("failsafe", func(b *testing.B) {
		openFailsafe(b, failsafeConsecutive())
		br := failsafeConsecutive()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !br.TryAcquirePermit() {
					b.Error("rejected")
					return
				}
				br.RecordSuccess()
			}
		})
	})
	b.Run("aegis", func(b *testing.B) {
		openAegis(b)
		br := aegis()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := br.Allow(); err != nil {
					b.Error(err)
					return
				}
				br.MarkSuccess()
			}
		})
	})
	b.Run("go-zero", func(b *testing.B) {
		openGozero(b)
		br := gozero.NewBreaker()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				promise, err := br.Allow()
				if err != nil {
					b.Error(err)
					return
				}
				promise.Accept()
			}
		})
	})
	b.Run("floor", func(b *testing.B) {
		var state atomic.Uint32
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if state.Load() != 0 {
					b.Error("rejected")
					return
				}
			}
		})
	})
}
