package facade_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

// At the deadline there is an answer if all required parts are done.
func TestDeadlineGivesAPartialResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{})
		facade.Step(p, "product", takes[int](10*ms, 1))
		facade.Step(p, "reviews", ignores[int](time.Minute, 1, nil)).Optional()
		facade.Step(p, "stock", takes[int](time.Hour, 1)).FallbackFunc(func(ctx context.Context, cause error) (int, error) {
			if !errors.Is(cause, facade.ErrTimeout) || ctx.Err() != nil {
				t.Errorf("the fallback gets %v, %v", cause, ctx.Err())
			}
			return 2, nil
		})
		facade.Step(p, "recommended", ignores[int](time.Minute, 1, nil)).FallbackFunc(func(ctx context.Context, cause error) (int, error) {
			return 3, nil
		})
		begin := time.Now()
		got, err := build(t, p, missing).Call(within(t, time.Second), 0)
		want := "reviews failed: no answer within 1s; stock fell back: no answer within 1s (its context ended after 990ms); recommended fell back: no answer within 1s"
		if got != want || err != nil {
			t.Errorf("got %q, %v\nwant %q", got, err, want)
		}
		if time.Since(begin) != time.Second {
			t.Errorf("took %v, want 1s", time.Since(begin))
		}
		time.Sleep(time.Hour)
	})
}

// Also a fallback that ignores its context does not keep the answer back for long.
func TestFallbackIsBounded(t *testing.T) {
	for want, part := range map[string]func(*facade.Plan[int]) *facade.Part[int]{
		"product fell back: facade: not enough time left to begin; reviews failed: wrong; fallback: no answer within 1s": func(p *facade.Plan[int]) *facade.Part[int] {
			return facade.Step(p, "reviews", fails[int, int](0, errWrong))
		},
		"product fell back: facade: not enough time left to begin; reviews skipped: facade: not enough time left to begin; fallback: no answer within 1s": func(p *facade.Plan[int]) *facade.Part[int] {
			return facade.Step(p, "reviews", now[int](1)).Expects(2 * time.Second)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := facade.New[int](facade.Config{})
			facade.Step(p, "product", now[int](1)).Expects(2 * time.Second).Fallback(1)
			part(p).Optional().FallbackFunc(func(ctx context.Context, cause error) (int, error) {
				time.Sleep(time.Hour)
				return 1, nil
			})
			begin := time.Now()
			got, err := build(t, p, missing).Call(within(t, time.Second), 0)
			if got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
			if time.Since(begin) != time.Second {
				t.Errorf("took %v, want 1s", time.Since(begin))
			}
			time.Sleep(time.Hour)
		})
	}
}

// What a fallback says when its time is up changes nothing any more.
func TestLateFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{})
		part := facade.Step(p, "part", fails[int, int](0, errWrong)).Optional().FallbackFunc(func(context.Context, error) (int, error) {
			time.Sleep(60 * ms)
			return 7, nil
		})
		facade.After(p, "next", facade.Settled(part), func(ctx context.Context, r facade.Result[int]) (int, error) {
			return takes[int](30*ms, 1)(ctx, 0)
		}).Expects(50 * ms)
		got, err := build(t, p, func(v *facade.Values) (facade.Result[int], error) { return part.Result(v), nil }).Call(within(t, 100*ms), 0)
		if got.Value != 0 || got.Status != facade.Failed || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// A part gets what the longest tail behind it leaves.
func TestDeadlineBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := map[string]time.Duration{}
		looks := func(name string) func(context.Context, int) (int, error) {
			return func(ctx context.Context, _ int) (int, error) {
				deadline, _ := ctx.Deadline()
				left[name] = time.Until(deadline)
				return 1, nil
			}
		}
		p := facade.New[int](facade.Config{Limit: 1}) // for the map
		search := facade.Step(p, "search", looks("search"))
		rank := facade.After(p, "rank", search, looks("rank")).Expects(30 * ms)
		facade.After(p, "render", rank, looks("render")).Expects(70 * ms)
		facade.After(p, "log", search, looks("log")).Expects(60 * ms)
		if _, err := build(t, p, missing).Call(within(t, 300*ms), 0); err != nil {
			t.Fatal(err)
		}
		// Less 10ms, in which a function can still answer.
		if want := "map[log:290ms rank:220ms render:290ms search:190ms]"; fmt.Sprint(left) != want {
			t.Errorf("got %v, want %v", left, want)
		}
	})
}

// What is left behind at the end of its budget leaves enough for what comes next, also
// where clocks are not as exact as in a bubble.
func TestBudgetOfTheRest(t *testing.T) {
	for late := range time.Duration(3) {
		synctest.Test(t, func(t *testing.T) {
			p := facade.New[int](facade.Config{Limit: 1})
			search := facade.Step(p, "search", ignores[int](time.Hour, 1, nil)).FallbackFunc(func(context.Context, error) (int, error) {
				time.Sleep(late * ms) // as the timer may be
				return 2, nil
			})
			facade.After(p, "render", search, takes[int](10*ms, 1)).Expects(20 * ms)
			_, err := build(t, p, missing).Call(within(t, 100*ms), 0)
			if err != nil {
				t.Errorf("%v too late: %v", late*ms, err)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

// Parts that begin at once and have the same time share a timer, and nothing else: each
// says how long it had itself.
func TestTimesOfPartsThatBeginApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{})
		begins := func(name string, after time.Duration, on *facade.Part[int]) *facade.Part[int] {
			wait := facade.After(p, "before "+name, on, takes[int](after, 1))
			return facade.After(p, name, wait, takes[int](time.Hour, 1)).Optional()
		}
		begins("one", 0, p.In())
		begins("two", 0, p.In())
		begins("three", 300*ms, p.In())
		begins("four", 30*time.Microsecond, p.In()).Timeout(200 * ms)
		begins("five", 300*ms, p.In()).Timeout(200 * ms)
		got, err := build(t, p, missing).Call(within(t, time.Second), 0)
		want := "one failed: no answer within 1s (its context ended after 990ms); " +
			"two failed: no answer within 1s (its context ended after 990ms); " +
			"three failed: no answer within 700ms (its context ended after 690ms); " +
			"four failed: no answer within 200ms (its context ended after 190ms); " +
			"five failed: no answer within 200ms (its context ended after 190ms)"
		if got != want || err != nil {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	})
}

// Contexts behave as those of package context do, whether or not somebody has asked
// for Done before they end.
func TestTimedContext(t *testing.T) {
	for name, use := range map[string]func(context.Context){
		"waits": func(ctx context.Context) { <-ctx.Done() },
		"looks": func(ctx context.Context) {
			for ctx.Err() == nil {
				time.Sleep(ms)
			}
		},
		"derives": func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			<-ctx.Done()
		},
		"sleeps": func(context.Context) { time.Sleep(92 * ms) },
	} {
		bubble(t, name, func(t *testing.T) {
			p := facade.New[int](facade.Config{})
			facade.Step(p, "part", func(ctx context.Context, _ int) (int, error) {
				deadline, ok := ctx.Deadline()
				if !ok || time.Until(deadline) != 90*ms {
					t.Errorf("the deadline is in %v", time.Until(deadline))
				}
				use(ctx)
				if ctx.Err() != context.DeadlineExceeded || !errors.Is(context.Cause(ctx), facade.ErrTimeout) {
					t.Errorf("ended with %v because of %v", ctx.Err(), context.Cause(ctx))
				}
				return 0, context.Cause(ctx)
			}).Timeout(100 * ms)
			_, err := build(t, p, missing).Call(t.Context(), 0)
			if !errors.Is(err, facade.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !err.(*facade.Error).Timeout() {
				t.Errorf("got %v", err)
			}
		})
	}
}
