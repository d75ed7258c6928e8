package ratelimit_test

import (
	"testing"
	"time"
)

// uber cannot deny.

func deny(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		limiter := stingyBelay()
		mustDeny(b, limiter.Allow)
		b.ReportAllocs()
		for b.Loop() {
			if limiter.Allow() {
				b.Fatal("allowed")
			}
		}
	})
	b.Run("x-time", func(b *testing.B) {
		limiter := stingyXTime()
		mustDeny(b, limiter.Allow)
		b.ReportAllocs()
		for b.Loop() {
			if limiter.Allow() {
				b.Fatal("allowed")
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		limiter := stingyFailsafe()
		mustDeny(b, limiter.TryAcquirePermit)
		b.ReportAllocs()
		for b.Loop() {
			if limiter.TryAcquirePermit() {
				b.Fatal("allowed")
			}
		}
	})
	b.Run("tollbooth", func(b *testing.B) {
		limiter := stingyTollbooth()
		mustDeny(b, func() bool { return !limiter.LimitReached(key) })
		b.ReportAllocs()
		for b.Loop() {
			if !limiter.LimitReached(key) {
				b.Fatal("allowed")
			}
		}
	})
	b.Run("ulule", func(b *testing.B) {
		limiter, ctx := stingyUlule(), b.Context()
		mustDeny(b, func() bool {
			result, err := limiter.Get(ctx, key)
			return err == nil && !result.Reached
		})
		b.ReportAllocs()
		for b.Loop() {
			if result, err := limiter.Get(ctx, key); err != nil || !result.Reached {
				b.Fatal("allowed")
			}
		}
	})
	b.Run("sethvargo", func(b *testing.B) {
		limiter, ctx := stingySethvargo(b), b.Context()
		mustDeny(b, func() bool {
			_, _, _, ok, err := limiter.Take(ctx, key)
			return ok && err == nil
		})
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, ok, err := limiter.Take(ctx, key); ok || err != nil {
				b.Fatal("allowed")
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

func denyPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		limiter := stingyBelay()
		mustDeny(b, limiter.Allow)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if limiter.Allow() {
					b.Error("allowed")
					return
				}
			}
		})
	})
	b.Run("x-time", func(b *testing.B) {
		limiter := stingyXTime()
		mustDeny(b, limiter.Allow)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if limiter.Allow() {
					b.Error("allowed")
					return
				}
			}
		})
	})
	b.Run("failsafe", func(b *testing.B) {
		limiter := stingyFailsafe()
		mustDeny(b, limiter.TryAcquirePermit)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if limiter.TryAcquirePermit() {
					b.Error("allowed")
					return
				}
			}
		})
	})
	b.Run("tollbooth", func(b *testing.B) {
		limiter := stingyTollbooth()
		mustDeny(b, func() bool { return !limiter.LimitReached(key) })
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !limiter.LimitReached(key) {
					b.Error("allowed")
					return
				}
			}
		})
	})
	b.Run("ulule", func(b *testing.B) {
		limiter, ctx := stingyUlule(), b.Context()
		mustDeny(b, func() bool {
			result, err := limiter.Get(ctx, key)
			return err == nil && !result.Reached
		})
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if result, err := limiter.Get(ctx, key); err != nil || !result.Reached {
					b.Error("allowed")
					return
				}
			}
		})
	})
	b.Run("sethvargo", func(b *testing.B) {
		limiter, ctx := stingySethvargo(b), b.Context()
		mustDeny(b, func() bool {
			_, _, _, ok, err := limiter.Take(ctx, key)
			return ok && err == nil
		})
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, _, ok, err := limiter.Take(ctx, key); ok || err != nil {
					b.Error("allowed")
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
