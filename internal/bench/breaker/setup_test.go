// Package breaker_test measures belay's circuit breaker beside its peers.
//
// The floors are a direct call behind one read of a state word (consecutive), a
// direct call and one clock read (window) or two (slow), and the read of the state
// word alone (two-step, open).
package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	"github.com/sony/gobreaker/v2"
	gozero "github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"
)

func BenchmarkBreaker(b *testing.B) {
	b.Run("closed-consecutive", consecutive)
	b.Run("closed-consecutive-par", consecutivePar)
	b.Run("closed-window", window)
	b.Run("closed-window-par", windowPar)
	b.Run("closed-slow", slow)
	b.Run("closed-slow-par", slowPar)
	b.Run("two-step", twoStep)
	b.Run("two-step-par", twoStepPar)
	b.Run("open", open)
	b.Run("open-par", openPar)
	b.Run("set-get", setGet)
	b.Run("set-get-par", setGetPar)
	b.Run("set-stats-10000", setStats)
	b.Run("set-new-1024", setNew(1024))
	b.Run("set-new-100000", setNew(100_000))
}

func init() {
	// go-zero reports on standard output, amid the results.
	logx.Disable()
	stat.SetReporter(nil)
}

// All breakers are set alike, as far as they can be set.
var (
	belayConsecutive = breaker.Config{FailureRate: -1, AllFailed: -1, Consecutive: 5, OpenFor: time.Hour}
	belayWindow      = breaker.Config{Window: 10 * time.Second, MinCalls: 20, FailureRate: 0.5, Consecutive: -1, AllFailed: -1, OpenFor: time.Hour}

	belaySlow = breaker.Config{Window: 10 * time.Second, MinCalls: 20, Slow: time.Minute, Consecutive: -1, AllFailed: -1, OpenFor: time.Hour}

	gobreakerConsecutive = gobreaker.Settings{
		Timeout:     time.Hour,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 5 },
	}
	gobreakerWindow = gobreaker.Settings{
		Interval:     10 * time.Second,
		BucketPeriod: time.Second,
		Timeout:      time.Hour,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.Requests >= 20 && 2*c.TotalFailures >= c.Requests },
	}
)

func failsafeConsecutive() circuitbreaker.CircuitBreaker[int] {
	return circuitbreaker.NewBuilder[int]().WithFailureThreshold(5).WithDelay(time.Hour).Build()
}

func failsafeWindow() circuitbreaker.CircuitBreaker[int] {
	return circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(0.5, 20, 10*time.Second).WithDelay(time.Hour).Build()
}

func aegis() *sre.Breaker {
	return sre.NewBreaker(sre.WithRequest(20), sre.WithSuccess(0.5), sre.WithWindow(10*time.Second), sre.WithBucket(10)).(*sre.Breaker)
}

var errDown = errors.New("down")

// The operations are never inlined: every implementation pays for the call.

//go:noinline
func succeed(context.Context) (int, error) { return 1, nil }

//go:noinline
func fail(context.Context) (int, error) { return 0, errDown }

//go:noinline
func succeedPlain() (int, error) { return 1, nil }

//go:noinline
func failPlain() (int, error) { return 0, errDown }

//go:noinline
func succeedErr() error { return nil }

//go:noinline
func failErr() error { return errDown }

// mustOpen fails the benchmark unless call, whose operation fails, is soon rejected.
func mustOpen(b *testing.B, rejection error, call func() error) {
	b.Helper()
	for range 100 {
		if errors.Is(call(), rejection) {
			return
		}
	}
	b.Fatal("100 failures have not opened the breaker")
}

// mustMostlyOpen is mustOpen for breakers that reject at random.
func mustMostlyOpen(b *testing.B, rejection error, call func() error) {
	b.Helper()
	rejected := 0
	for i := range 1000 {
		if errors.Is(call(), rejection) && i >= 500 {
			rejected++
		}
	}
	if rejected < 450 {
		b.Fatalf("after 500 failures the breaker rejects %d of 500 calls", rejected)
	}
}

func openBelay(b *testing.B, cfg breaker.Config) *breaker.Breaker {
	b.Helper()
	br := breaker.New(cfg)
	mustOpen(b, breaker.ErrOpen, func() error {
		_, err := breaker.Do(b.Context(), br, fail)
		return err
	})
	return br
}

func openGobreaker(b *testing.B, s gobreaker.Settings) *gobreaker.CircuitBreaker[int] {
	b.Helper()
	br := gobreaker.NewCircuitBreaker[int](s)
	mustOpen(b, gobreaker.ErrOpenState, func() error {
		_, err := br.Execute(failPlain)
		return err
	})
	return br
}

func openFailsafe(b *testing.B, br circuitbreaker.CircuitBreaker[int]) circuitbreaker.CircuitBreaker[int] {
	b.Helper()
	mustOpen(b, circuitbreaker.ErrOpen, func() error {
		if !br.TryAcquirePermit() {
			return circuitbreaker.ErrOpen
		}
		br.RecordFailure()
		return errDown
	})
	return br
}

func openAegis(b *testing.B) *sre.Breaker {
	b.Helper()
	br := aegis()
	rejected := errors.New("rejected")
	mustMostlyOpen(b, rejected, func() error {
		err := br.Allow()
		br.MarkFailed()
		if err != nil {
			return rejected
		}
		return errDown
	})
	return br
}

func openGozero(b *testing.B) gozero.Breaker {
	b.Helper()
	br := gozero.NewBreaker()
	mustMostlyOpen(b, gozero.ErrServiceUnavailable, func() error { return br.Do(failErr) })
	return br
}
