package breaker_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/sony/gobreaker/v2"
)

// aegis and go-zero let a few calls through at random; those fail, so that the
// rest keeps being rejected. An aegis breaker counts its rejections as failures,
// as its source advises.

var errAdmitted = errors.New("admitted by an open breaker")

func open(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		br, ctx := openBelay(b, belayWindow), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := breaker.Do(ctx, br, succeed); err == nil {
				b.Fatal(errAdmitted)
			}
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		br := openGobreaker(b, gobreakerWindow)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := br.Execute(succeedPlain); err != gobreaker.ErrOpenState {
				b.Fatal(errAdmitted)
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		br := openFailsafe(b, failsafeWindow())
		b.ReportAllocs()
		for b.Loop() {
			if br.TryAcquirePermit() {
				b.Fatal(errAdmitted)
			}
		}
	})
	b.Run("failsafe-executor", func(b *testing.B) {
		exec := failsafe.With(openFailsafe(b, failsafeWindow()))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := exec.Get(succeedPlain); err == nil {
				b.Fatal(errAdmitted)
			}
		}
	})
	b.Run("aegis", func(b *testing.B) {
		br := openAegis(b)
		b.ReportAllocs()
		for b.Loop() {
			_ = br.Allow()
			br.MarkFailed()
		}
	})
	b.Run("go-zero", func(b *testing.B) {
		br := openGozero(b)
		b.ReportAllocs()
		for b.Loop() {
			if err := br.Do(failErr); err == nil {
				b.Fatal(errAdmitted)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		var state atomic.Uint32
		state.Store(1)
		b.ReportAllocs()
		for b.Loop() {
			if state.Load() == 0 {
				b.Fatal(errAdmitted)
			}
		}
	})
}

func openPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		br, ctx := openBelay(b, belayWindow), b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := breaker.Do(ctx, br, succeed); err == nil {
					b.Error(errAdmitted)
					return
				}
			}
		})
	})
	b.Run("gobreaker", func(b *testing.B) {
		br := openGobreaker(b, gobreakerWindow)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := br.Execute(succeedPlain); err != gobreaker.ErrOpenState {
					b.Error(errAdmitted)
					return
				}
			}
		})
	})
	b.Run("failsafe", func(b *testing.B) {
		br := openFailsafe(b, failsafeWindow())
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if br.TryAcquirePermit() {
					b.Error(errAdmitted)
					return
				}
			}
		})
	})
	b.Run("failsafe-executor", func(b *testing.B) {
		exec := failsafe.With(openFailsafe(b, failsafeWindow()))
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := exec.Get(succeedPlain); err == nil {
					b.Error(errAdmitted)
					return
				}
			}
		})
	})
	b.Run("aegis", func(b *testing.B) {
		br := openAegis(b)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = br.Allow()
				br.MarkFailed()
			}
		})
	})
	b.Run("go-zero", func(b *testing.B) {
		br := openGozero(b)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := br.Do(failErr); err == nil {
					b.Error(errAdmitted)
					return
				}
			}
		})
	})
	b.Run("floor", func(b *testing.B) {
		var state atomic.Uint32
		state.Store(1)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if state.Load() == 0 {
					b.Error(errAdmitted)
					return
				}
			}
		})
	})
}
