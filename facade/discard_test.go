package facade_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

// Discarding takes time, but not the caller's, and each value has its turn.
func TestDiscardIsNotTheCallersTime(t *testing.T) {
	type step = func(context.Context, int) ([]int, error)
	for name, make := range map[string]func(discard func(int)) step{
		"Quorum": func(discard func(int)) step {
			return facade.Quorum(3, discard, now[int](1), now[int](2), takes[int](time.Hour, 3))
		},
		"Each": func(discard func(int)) step {
			each := facade.Each(3, discard, func(ctx context.Context, in int) (int, error) {
				if in == 3 {
					return takes[int](time.Hour, 3)(ctx, in)
				}
				return in, nil
			})
			return func(ctx context.Context, _ int) ([]int, error) { return each(ctx, []int{1, 2, 3}) }
		},
	} {
		for _, bad := range []string{"slow", "panics", "exits"} {
			bubble(t, name+" "+bad, func(t *testing.T) {
				var discarded log
				f := make(func(v int) {
					time.Sleep(time.Minute)
					discarded.add("%d", v)
					switch bad {
					case "panics":
						panic(errWrong)
					case "exits":
						runtime.Goexit()
					}
				})
				var late []string
				p := facade.New[int](facade.Config{Observe: func(_ context.Context, e facade.Event) {
					if e.Kind == facade.Late {
						late = append(late, fmt.Sprint(e.Part, ": ", e.Err))
					}
				}})
				facade.Step(p, "part", f)
				begin := time.Now()
				_, err := build(t, p, missing).Call(within(t, time.Second), 0)
				if d := time.Since(begin); err == nil || d > time.Second {
					t.Errorf("got %v after %v", err, d)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				slices.Sort(discarded.lines)
				if discarded.String() != "1, 2" {
					t.Errorf("discarded %v", &discarded)
				}
				want := map[string]string{"slow": "[]", "panics": "[part: panic: wrong part: panic: wrong]", "exits": "[part: facade: runtime.Goexit was called part: facade: runtime.Goexit was called]"}[bad]
				if fmt.Sprint(late) != want {
					t.Errorf("observed %v, want %s", late, want)
				}
			})
		}
	}
}
