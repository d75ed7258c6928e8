package retry_test

import (
	"context"
	"testing"
	"time"

	"github.com/belay-go/belay/retry"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
)

// hedgeIdle has hedges after 50 ms, and an operation that takes none. belay runs the
// first attempt on the caller's goroutine (Inline); belay-detached is its default,
// which gives that attempt a goroutine of its own, as failsafe does.
func hedgeIdle(b *testing.B) {
	for name, inline := range map[string]bool{"belay": true, "belay-detached": false} {
		b.Run(name, func(b *testing.B) {
			mustHedge(b, func(ctx context.Context, op func(context.Context) (int, error)) (int, error) {
				return retry.Hedge(ctx, retry.NewHedger(retry.HedgeConfig{Delay: time.Millisecond, Inline: inline}), op, nil)
			})
			hedger, ctx := retry.NewHedger(retry.HedgeConfig{Delay: 50 * time.Millisecond, Inline: inline}), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := retry.Hedge(ctx, hedger, succeed, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("failsafe", func(b *testing.B) {
		mustHedge(b, func(ctx context.Context, op func(context.Context) (int, error)) (int, error) {
			policy := hedgepolicy.NewWithDelay[int](time.Millisecond)
			return failsafe.With(policy).WithContext(ctx).GetWithExecution(func(e failsafe.Execution[int]) (int, error) {
				return op(e.Context())
			})
		})
		exec, ctx := failsafe.With(hedgepolicy.NewWithDelay[int](50*time.Millisecond)), b.Context()
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

// mustHedge fails the benchmark unless do begins an operation that hangs a second
// time.
func mustHedge(b *testing.B, do func(context.Context, func(context.Context) (int, error)) (int, error)) {
	b.Helper()
	first := make(chan bool, 1)
	first <- true
	v, err := do(b.Context(), func(ctx context.Context) (int, error) {
		select {
		case <-first:
			<-ctx.Done()
			return 1, ctx.Err()
		default:
			return 2, nil
		}
	})
	if v != 2 || err != nil {
		b.Fatalf("an operation that hangs at first gave %d, %v; want 2, nil", v, err)
	}
}
