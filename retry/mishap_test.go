package retry_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/mishap"
	"github.com/belay-go/belay/retry"
)

// Code of a hedged call that ends badly, while the caller waits and after it has left: a
// panic or exit is the caller's, then Observe is told, and without an Observe a panic
// takes its course. No later call hangs, and none learns of it.
func TestMishaps(t *testing.T) {
	type hedged struct {
		op       func(ctx context.Context, number int) (int, error)
		discard  func(int)
		classify func(error)
	}
	quick := func(context.Context, int) (int, error) { return 2, nil }
	first := func(f func(context.Context) (int, error)) func(context.Context, int) (int, error) {
		return func(ctx context.Context, number int) (int, error) {
			if number == 1 {
				return f(ctx)
			}
			return quick(ctx, number)
		}
	}
	var cases []mishap.Case
	for name, place := range map[string]struct {
		make func(end func()) hedged
		want [3]string // of a panic, an exit, a hang
	}{
		"op": {func(end func()) hedged {
			return hedged{op: first(func(context.Context) (int, error) { end(); return 1, nil })}
		}, [3]string{"panics", "exits", "returns"}},
		"op, the second": {func(end func()) hedged {
			return hedged{op: func(_ context.Context, number int) (int, error) {
				if number == 2 {
					end()
				}
				time.Sleep(time.Second)
				return number, nil
			}}
		}, [3]string{"panics", "exits", "returns"}},
		"Classify": {func(end func()) hedged {
			return hedged{op: first(func(context.Context) (int, error) { return 0, errors.New("down") }), classify: func(error) { end() }}
		}, [3]string{"panics", "exits", "returns"}},
		"op, after Hedge": {func(end func()) hedged {
			return hedged{op: first(func(context.Context) (int, error) { time.Sleep(time.Minute); end(); return 1, nil })}
		}, [3]string{"told, or dies", "returns", "returns"}},
		"Classify, after Hedge": {func(end func()) hedged {
			return hedged{op: first(func(context.Context) (int, error) { time.Sleep(time.Minute); return 0, errors.New("down") }), classify: func(error) { end() }}
		}, [3]string{"returns", "returns", "returns"}}, // it is not asked
		"discard, after Hedge": {func(end func()) hedged {
			return hedged{op: first(func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil }), discard: func(int) { end() }}
		}, [3]string{"told, or dies", "returns", "returns"}},
	} {
		for i, want := range place.want {
			for _, observes := range []bool{false, true} {
				want := want
				if want == "told, or dies" {
					if want = "returns, told"; !observes {
						want = mishap.Dies
					}
				}
				cases = append(cases, mishap.Case{
					Name: fmt.Sprintf("%s %v, observed: %v", name, mishap.Endings[i], observes),
					Want: want,
					Run: func(t *testing.T) string {
						var armed, told atomic.Bool
						h := place.make(func() {
							if armed.Load() {
								mishap.Endings[i].End()
							}
						})
						cfg := retry.HedgeConfig{Delay: time.Millisecond, Classify: func(_ context.Context, err error) retry.Decision {
							if h.classify != nil {
								h.classify(err)
							}
							return retry.Default
						}}
						if observes {
							cfg.Observe = func(_ context.Context, e retry.Event) {
								if e.Kind == retry.Panicked {
									told.Store(true)
								}
							}
						}
						hedger := retry.NewHedger(cfg)
						call := func() (int, error) {
							var n atomic.Int32
							return retry.Hedge(t.Context(), hedger, func(ctx context.Context) (int, error) { return h.op(ctx, int(n.Add(1))) }, h.discard)
						}
						armed.Store(true)
						begin := time.Now()
						how, _ := mishap.Ended(func() { call() })
						if time.Since(begin) >= mishap.Hang {
							return "hangs"
						}
						time.Sleep(2 * mishap.Hang)
						armed.Store(false)
						if _, err := call(); err != nil {
							return "a later call: " + err.Error()
						}
						if told.Load() {
							return how.String() + ", told"
						}
						return how.String()
					},
				})
			}
		}
	}
	mishap.Run(t, mishap.Sorted(cases))
}
