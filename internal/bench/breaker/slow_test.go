package breaker_test

import (
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/sony/gobreaker/v2"
)

// Nobody else sees slow calls: gobreaker is here with the window that it has.

func slow(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belaySlow)
		br, ctx := breaker.New(belaySlow), b.Context()
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
	b.Run("floor", func(b *testing.B) {
		epoch, ctx := time.Now(), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			began := time.Since(epoch)
			if _, err := succeed(ctx); err != nil {
				b.Fatal(err)
			}
			if time.Since(epoch)-began > time.Minute {
				b.Fatal("slow")
			}
		}
	})
}

func slowPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		openBelay(b, belaySlow)
		br, ctx := breaker.New(belaySlow), b.Context()
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
	b.Run("floor", func(b *testing.B) {
		epoch, ctx := time.Now(), b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				began := time.Since(epoch)
				if _, err := succeed(ctx); err != nil {
					b.Error(err)
					return
				}
				if time.Since(epoch)-began > time.Minute {
					b.Error("slow")
					return
				}
			}
		})
	})
}
