package breaker_test

import (
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/sony/gobreaker/v2"
	gozero "github.com/zeromicro/go-zero/core/breaker"
)

func window(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belayWindow)
		br, ctx := breaker.New(belayWindow), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := breaker.Do(ctx, br, succeed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		openGobreaker(b, gobreakerWindow)
		br := gobreaker.NewCircuitBreaker[int](gobreakerWindow)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := br.Execute(succeedPlain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		openFailsafe(b, failsafeWindow())
		br, ctx := failsafeWindow(), b.Context()
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
		openFailsafe(b, failsafeWindow())
		exec := failsafe.With(failsafeWindow())
		b.ReportAllocs()
		for b.Loop() {
			if _, err := exec.Get(succeedPlain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("aegis", func(b *testing.B) {
		openAegis(b)
		br, ctx := aegis(), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if err := br.Allow(); err != nil {
				b.Fatal(err)
			}
			if _, err := succeed(ctx); err != nil {
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
			if err := br.Do(succeedErr); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		epoch, ctx := time.Now(), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if time.Since(epoch) < 0 {
				b.Fatal("time runs backwards")
			}
			if _, err := succeed(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func windowPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belayWindow)
		br, ctx := breaker.New(belayWindow), b.Context()
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
		openGobreaker(b, gobreakerWindow)
		br := gobreaker.NewCircuitBreaker[int](gobreakerWindow)
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
		openFailsafe(b, failsafeWindow())
		br, ctx := failsafeWindow(), b.Context()
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
		openFailsafe(b, failsafeWindow())
		exec := failsafe.With(failsafeWindow())
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
	b.Run("aegis", func(b *testing.B) {
		openAegis(b)
		br, ctx := aegis(), b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := br.Allow(); err != nil {
					b.Error(err)
					return
				}
				if _, err := succeed(ctx); err != nil {
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
				if err := br.Do(succeedErr); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("floor", func(b *testing.B) {
		epoch, ctx := time.Now(), b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if time.Since(epoch) < 0 {
					b.Error("time runs backwards")
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
