package ratelimit_test

import (
	"testing"
	"time"
)

// The limiters have a token at hand whenever they are asked.

func waitReady(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		limiter, ctx := generousBelay(), b.Context()
		mustAllow(b, func() bool { return limiter.Wait(ctx) == nil })
		b.ReportAllocs()
		for b.Loop() {
			if err := limiter.Wait(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("x-time", func(b *testing.B) {
		limiter, ctx := generousXTime(), b.Context()
		mustAllow(b, func() bool { return limiter.Wait(ctx) == nil })
		b.ReportAllocs()
		for b.Loop() {
			if err := limiter.Wait(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("uber", func(b *testing.B) {
		limiter := generousUber()
		b.ReportAllocs()
		for b.Loop() {
			if limiter.Take().IsZero() {
				b.Fatal("no time")
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		limiter, ctx := generousFailsafe(), b.Context()
		mustAllow(b, func() bool { return limiter.AcquirePermit(ctx) == nil })
		b.ReportAllocs()
		for b.Loop() {
			if err := limiter.AcquirePermit(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		epoch := time.Now()
		b.ReportAllocs()
		for b.Loop() {
			if time.Since(epoch) < 0 {
				b.Fatal("time runs backwards")
			}
		}
	})
}

func waitReadyPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		limiter, ctx := generousBelay(), b.Context()
		mustAllow(b, func() bool { return limiter.Wait(ctx) == nil })
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := limiter.Wait(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("x-time", func(b *testing.B) {
		limiter, ctx := generousXTime(), b.Context()
		mustAllow(b, func() bool { return limiter.Wait(ctx) == nil })
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := limiter.Wait(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("uber", func(b *testing.B) {
		limiter := generousUber()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if limiter.Take().IsZero() {
					b.Error("no time")
					return
				}
			}
		})
	})
	b.Run("failsafe", func(b *testing.B) {
		limiter, ctx := generousFailsafe(), b.Context()
		mustAllow(b, func() bool { return limiter.AcquirePermit(ctx) == nil })
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := limiter.AcquirePermit(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("floor", func(b *testing.B) {
		epoch := time.Now()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if time.Since(epoch) < 0 {
					b.Error("time runs backwards")
					return
				}
			}
		})
	})
}
