package ratelimit_test

import (
	"testing"
	"time"
)

// uber can only wait; it has a token at hand.

func allow(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		limiter := generousBelay()
		mustAllow(b, limiter.Allow)
		b.ReportAllocs()
		for b.Loop() {
			if !limiter.Allow() {
				b.Fatal("denied")
			}
		}
	})
	b.Run("x-time", func(b *testing.B) {
		limiter := generousXTime()
		mustAllow(b, limiter.Allow)
		b.ReportAllocs()
		for b.Loop() {
			if !limiter.Allow() {
				b.Fatal("denied")
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
		limiter := generousFailsafe()
		mustAllow(b, limiter.TryAcquirePermit)
		b.ReportAllocs()
		for b.Loop() {
			if !limiter.TryAcquirePermit() {
				b.Fatal("denied")
			}
		}
	})
	b.Run("tollbooth", func(b *testing.B) {
		limiter := generousTollbooth()
		mustAllow(b, func() bool { return !limiter.LimitReached(key) })
		b.ReportAllocs()
		for b.Loop() {
			if limiter.LimitReached(key) {
				b.Fatal("denied")
			}
		}
	})
	b.Run("ulule", func(b *testing.B) {
		limiter, ctx := generousUlule(), b.Context()
		mustAllow(b, func() bool {
			result, err := limiter.Get(ctx, key)
			return err == nil && !result.Reached
		})
		b.ReportAllocs()
		for b.Loop() {
			if result, err := limiter.Get(ctx, key); err != nil || result.Reached {
				b.Fatal("denied")
			}
		}
	})
	b.Run("sethvargo", func(b *testing.B) {
		limiter, ctx := generousSethvargo(b), b.Context()
		mustAllow(b, func() bool {
			_, _, _, ok, err := limiter.Take(ctx, key)
			return ok && err == nil
		})
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, ok, err := limiter.Take(ctx, key); !ok || err != nil {
				b.Fatal("denied")
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

func allowPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		limiter := generousBelay()
		mustAllow(b, limiter.Allow)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !limiter.Allow() {
					b.Error("denied")
					return
				}
			}
		})
	})
	b.Run("x-time", func(b *testing.B) {
		limiter := generousXTime()
		mustAllow(b, limiter.Allow)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !limiter.Allow() {
					b.Error("denied")
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
		limiter := generousFailsafe()
		mustAllow(b, limiter.TryAcquirePermit)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !limiter.TryAcquirePermit() {
					b.Error("denied")
					return
				}
			}
		})
	})
	b.Run("tollbooth", func(b *testing.B) {
		limiter := generousTollbooth()
		mustAllow(b, func() bool { return !limiter.LimitReached(key) })
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if limiter.LimitReached(key) {
					b.Error("denied")
					return
				}
			}
		})
	})
	b.Run("ulule", func(b *testing.B) {
		limiter, ctx := generousUlule(), b.Context()
		mustAllow(b, func() bool {
			result, err := limiter.Get(ctx, key)
			return err == nil && !result.Reached
		})
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if result, err := limiter.Get(ctx, key); err != nil || result.Reached {
					b.Error("denied")
					return
				}
			}
		})
	})
	b.Run("sethvargo", func(b *testing.B) {
		limiter, ctx := generousSethvargo(b), b.Context()
		mustAllow(b, func() bool {
			_, _, _, ok, err := limiter.Take(ctx, key)
			return ok && err == nil
		})
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, _, ok, err := limiter.Take(ctx, key); !ok || err != nil {
					b.Error("denied")
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
