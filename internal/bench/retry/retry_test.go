package retry_test

import (
	"testing"
	"time"

	avast "github.com/avast/retry-go/v5"
	"github.com/belay-go/belay/retry"
	backoff4 "github.com/cenkalti/backoff/v4"
	backoff5 "github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	sethvargo "github.com/sethvargo/go-retry"
)

// firstTry has policies of three attempts with exponential delays from 1 ms on,
// which are never waited for, and a context that can be cancelled. What may be
// reused is made before: the policy and its context for backoff-v4 (which then
// serves one goroutine only), the policy for backoff-v5, all but the context for
// failsafe. A sethvargo policy counts the attempts of one call.
func firstTry(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		policy := retry.New(retry.Config{Schedule: retry.Exponential(time.Millisecond, time.Second, retry.FullJitter)})
		ctx := b.Context()
		mustRetry(b, func(f *flaky) (int, error) { return retry.Do(ctx, policy, f.op) })
		// Successes fill the budget again.
		for range 20 {
			retry.Do(ctx, policy, succeed)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := retry.Do(ctx, policy, succeed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("backoff-v4", func(b *testing.B) {
		exp := backoff4.NewExponentialBackOff(backoff4.WithInitialInterval(time.Millisecond), backoff4.WithMaxInterval(time.Second))
		policy := backoff4.WithContext(backoff4.WithMaxRetries(exp, 2), b.Context())
		mustRetry(b, func(f *flaky) (int, error) { return backoff4.RetryWithData(f.plain, policy) })
		b.ReportAllocs()
		for b.Loop() {
			if _, err := backoff4.RetryWithData(succeedPlain, policy); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("backoff-v5", func(b *testing.B) {
		policy := backoff5.NewExponentialBackOff()
		policy.InitialInterval, policy.MaxInterval = time.Millisecond, time.Second
		ctx := b.Context()
		mustRetry(b, func(f *flaky) (int, error) {
			return backoff5.Retry(ctx, f.plain, backoff5.WithBackOff(policy), backoff5.WithMaxTries(3))
		})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := backoff5.Retry(ctx, succeedPlain, backoff5.WithBackOff(policy), backoff5.WithMaxTries(3)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("retry-go", func(b *testing.B) {
		policy := avast.NewWithData[int](avast.Context(b.Context()), avast.Attempts(3),
			avast.Delay(time.Millisecond), avast.MaxDelay(time.Second), avast.DelayType(avast.FullJitterBackoffDelay))
		mustRetry(b, func(f *flaky) (int, error) { return policy.Do(f.plain) })
		b.ReportAllocs()
		for b.Loop() {
			if _, err := policy.Do(succeedPlain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sethvargo", func(b *testing.B) {
		ctx := b.Context()
		mustRetry(b, func(f *flaky) (int, error) {
			policy := sethvargo.WithMaxRetries(2, sethvargo.WithFullJitter(sethvargo.NewExponential(time.Millisecond)))
			return sethvargo.DoValue(ctx, policy, f.marked)
		})
		b.ReportAllocs()
		for b.Loop() {
			policy := sethvargo.WithMaxRetries(2, sethvargo.WithFullJitter(sethvargo.NewExponential(time.Millisecond)))
			if _, err := sethvargo.DoValue(ctx, policy, succeed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		policy := retrypolicy.NewBuilder[int]().WithMaxRetries(2).WithBackoff(time.Millisecond, time.Second).WithJitterFactor(0.5).Build()
		exec, ctx := failsafe.With(policy), b.Context()
		mustRetry(b, func(f *flaky) (int, error) { return exec.WithContext(ctx).Get(f.plain) })
		b.ReportAllocs()
		for b.Loop() {
			if _, err := exec.WithContext(ctx).Get(succeedPlain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := succeed(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// zeroDelay has policies without delays, and an operation that fails once in each
// call.
func zeroDelay(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		policy := retry.New(retry.Config{Schedule: retry.Constant(0), Budget: retry.NoBudget})
		f, ctx := new(flaky), b.Context()
		op := f.op
		mustRetry(b, func(f *flaky) (int, error) { return retry.Do(ctx, policy, f.op) })
		b.ReportAllocs()
		for b.Loop() {
			if _, err := retry.Do(ctx, policy, op); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("backoff-v4", func(b *testing.B) {
		policy := backoff4.WithContext(backoff4.WithMaxRetries(&backoff4.ZeroBackOff{}, 2), b.Context())
		f := new(flaky)
		op := f.plain
		mustRetry(b, func(f *flaky) (int, error) { return backoff4.RetryWithData(f.plain, policy) })
		b.ReportAllocs()
		for b.Loop() {
			if _, err := backoff4.RetryWithData(op, policy); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("backoff-v5", func(b *testing.B) {
		policy := &backoff5.ZeroBackOff{}
		f, ctx := new(flaky), b.Context()
		op := f.plain
		mustRetry(b, func(f *flaky) (int, error) {
			return backoff5.Retry(ctx, f.plain, backoff5.WithBackOff(policy), backoff5.WithMaxTries(3))
		})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := backoff5.Retry(ctx, op, backoff5.WithBackOff(policy), backoff5.WithMaxTries(3)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("retry-go", func(b *testing.B) {
		policy := avast.NewWithData[int](avast.Context(b.Context()), avast.Attempts(3), avast.Delay(0), avast.DelayType(avast.FixedDelay))
		f := new(flaky)
		op := f.plain
		mustRetry(b, func(f *flaky) (int, error) { return policy.Do(f.plain) })
		b.ReportAllocs()
		for b.Loop() {
			if _, err := policy.Do(op); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sethvargo", func(b *testing.B) {
		atOnce := sethvargo.BackoffFunc(func() (time.Duration, bool) { return 0, false })
		f, ctx := new(flaky), b.Context()
		op := f.marked
		mustRetry(b, func(f *flaky) (int, error) {
			return sethvargo.DoValue(ctx, sethvargo.WithMaxRetries(2, atOnce), f.marked)
		})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sethvargo.DoValue(ctx, sethvargo.WithMaxRetries(2, atOnce), op); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		exec := failsafe.With(retrypolicy.NewBuilder[int]().WithMaxRetries(2).Build())
		f, ctx := new(flaky), b.Context()
		op := f.plain
		mustRetry(b, func(f *flaky) (int, error) { return exec.WithContext(ctx).Get(f.plain) })
		b.ReportAllocs()
		for b.Loop() {
			if _, err := exec.WithContext(ctx).Get(op); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		f, ctx := new(flaky), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.op(ctx); err == nil {
				b.Fatal("the first call has not failed")
			}
			if _, err := f.op(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
