package facade_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

// gauge counts what runs at a time.
type gauge struct{ now, max atomic.Int32 }

func (g *gauge) takes(d time.Duration) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) {
		n := g.now.Add(1)
		defer g.now.Add(-1)
		for m := g.max.Load(); n > m && !g.max.CompareAndSwap(m, n); m = g.max.Load() {
		}
		time.Sleep(d)
		return int(n), nil
	}
}

// A part that waits holds no place: with a limit of one, everything runs, one after
// the other, also plans within plans.
func TestLimit(t *testing.T) {
	for _, tt := range []struct {
		limit   int
		timeout time.Duration
		max     int32
		elapsed time.Duration
	}{
		{0, 0, 6, 22 * ms},
		{1, 0, 1, 72 * ms},
		{2, 0, 2, 42 * ms},
		{1, time.Hour, 1, 72 * ms},
		{2, time.Hour, 2, 42 * ms},
		{5, time.Hour, 5, 32 * ms},
	} {
		bubble(t, fmt.Sprint(tt.limit, tt.timeout), func(t *testing.T) {
			var g gauge
			inner := facade.New[int](facade.Config{Limit: 1})
			facade.After(inner, "2", facade.Step(inner, "1", now[int](1)), takes[int](2*ms, 1))
			p := facade.New[int](facade.Config{Limit: tt.limit})
			last := facade.Step(p, "inner", build(t, inner, missing).Call)
			for i := range 6 {
				fan := facade.After(p, fmt.Sprint("fan", i), last, func(ctx context.Context, _ string) (int, error) { return g.takes(10*ms)(ctx, 0) })
				if tt.timeout > 0 {
					fan.Timeout(tt.timeout)
				}
				if i == 5 {
					facade.After(p, "behind", fan, g.takes(10*ms))
				}
			}
			begin := time.Now()
			if _, err := build(t, p, missing).Call(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if g.max.Load() != tt.max || time.Since(begin) != tt.elapsed {
				t.Errorf("%d at a time in %v, want %d in %v", g.max.Load(), time.Since(begin), tt.max, tt.elapsed)
			}
		})
	}
}

// What waits for a place is not kept from its end by what has it.
func TestFullLimitObeysTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{Limit: 1})
		facade.Step(p, "hangs", ignores[int](time.Hour, 1, nil)).Fallback(3).Timeout(20 * ms)
		facade.Step(p, "hangs longer", ignores[int](time.Hour, 1, nil)).Fallback(3)
		facade.Step(p, "waits", now[int](1)).Fallback(2)
		facade.Step(p, "waits too", func(context.Context, int) (int, error) {
			t.Error("called too late")
			return 0, nil
		})
		begin := time.Now()
		_, err := build(t, p, missing).Call(within(t, 100*ms), 0)
		want := "facade: waits too: facade: not enough time left to begin"
		if err == nil || err.Error() != want || !err.(*facade.Error).Timeout() || time.Since(begin) != 100*ms {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		time.Sleep(2 * time.Hour)
	})
}

// Places go to required parts first, and to what they need, and of these to the longest
// expected way to the end. What is optional cannot keep them from theirs.
func TestUrgentPartsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log log
		p := facade.New[int](facade.Config{Limit: 1})
		step := func(name string, on *facade.Part[int]) *facade.Part[int] {
			return facade.After(p, name, on, func(context.Context, int) (int, error) {
				log.add("%s", name)
				time.Sleep(ms)
				return 1, nil
			})
		}
		facade.Step(p, "hangs", ignores[int](time.Hour, 1, nil)).Optional()
		step("ads", p.In()).Optional()
		step("short", p.In())
		first := step("first", p.In())
		second := step("second", first).Expects(10 * ms)
		extra := step("extra", first).Optional()
		facade.After(p, "needs extra", facade.Settled(extra), func(context.Context, facade.Result[int]) (int, error) {
			log.add("needs extra")
			return 1, nil
		}).Expects(5 * ms)
		step("last", second).Expects(20 * ms)
		_, err := build(t, p, missing).Call(within(t, time.Second), 0)
		want := "first, second, last, extra, needs extra, short"
		if got := log.String(); got != want || err != nil {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
		time.Sleep(2 * time.Hour)
	})
}

// A part that is left behind gives its place to another.
func TestPlaceOfWhatIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{Limit: 1})
		facade.Step(p, "hangs", ignores[int](time.Hour, 1, nil)).Timeout(20 * ms).
			FallbackFunc(func(context.Context, error) (int, error) {
				time.Sleep(3 * ms)
				return 7, nil
			})
		facade.Step(p, "next", ignores[int](10*ms, 1, nil))
		begin := time.Now()
		_, err := build(t, p, missing).Call(t.Context(), 0)
		if err != nil || time.Since(begin) != 33*ms {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		time.Sleep(2 * time.Hour)
	})
}

// The fallback of a part that is left behind has its place, whatever else is urgent.
func TestPlaceOfAFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{Limit: 2})
		begin := time.Now()
		facade.Step(p, "optional", ignores[int](time.Hour, 1, nil)).Timeout(ms).Optional().FallbackFunc(func(context.Context, error) (int, error) {
			if d := time.Since(begin); d != ms {
				t.Errorf("the fallback begins after %v", d)
			}
			return 1, nil
		})
		required := facade.Step(p, "required", ignores[int](time.Hour, 1, nil)).Timeout(ms).Fallback(2)
		for i := range 3 {
			facade.After(p, fmt.Sprint(i), required, takes[int](10*ms, 1))
		}
		if _, err := build(t, p, missing).Call(t.Context(), 0); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// Each part runs as soon as what it needs is there, and not before.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var log log
		part := func(name string, d time.Duration) func(context.Context, int) (int, error) {
			return func(context.Context, int) (int, error) {
				log.add("%s at %v", name, time.Since(begin))
				time.Sleep(d)
				return 1, nil
			}
		}
		p := facade.New[int](facade.Config{})
		a := facade.Step(p, "a", part("a", 10*ms))
		b := facade.After(p, "b", a, part("b", 5*ms))
		c := facade.After(p, "c", b, part("c", 5*ms))
		d := facade.Step(p, "d", takes[int](17*ms, 1))
		facade.After2(p, "e", c, d, func(ctx context.Context, _, _ int) (int, error) { return part("e", ms)(ctx, 0) })
		failed := facade.Step(p, "failed", fails[int, int](12*ms, errWrong)).Optional()
		facade.After(p, "f", facade.Settled(failed), func(ctx context.Context, r facade.Result[int]) (int, error) {
			if r.Status != facade.Failed || r.Err != errWrong {
				t.Errorf("settled as %v", r)
			}
			return part("f", ms)(ctx, 0)
		})
		if _, err := build(t, p, missing).Call(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if want := "a at 0s, b at 10ms, f at 12ms, c at 15ms, e at 20ms"; log.String() != want {
			t.Errorf("got  %v\nwant %s", &log, want)
		}
	})
}

// A handle has the value of its own part, whichever came first.
func TestHandlesKnowTheirValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{})
		slow := facade.Step(p, "slow", takes[int](3*ms, "slow"))
		fast := facade.Step(p, "fast", takes[int](ms, "fast"))
		none := facade.Step(p, "none", takes[int, error](2*ms, nil)) // a nil interface
		some := facade.Step(p, "some", takes[int, any](2*ms, 3))
		got, err := build(t, p, func(v *facade.Values) (string, error) {
			r := facade.Settled(fast).Value(v)
			in := p.In().Result(v)
			settled := facade.Settled(p.In()).Value(v)
			return fmt.Sprint(slow.Value(v), fast.Value(v), none.Value(v), some.Value(v), r, in, settled, p.In().Name(), fast.Name()), nil
		}).Call(t.Context(), 8)
		if want := "slowfast<nil> 3 {fast ok <nil>} {8 ok <nil>} {8 ok <nil>}inputfast"; got != want || err != nil {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	})
}

// A chain needs no goroutine but the caller's.
func TestChainStaysOnTheCallersGoroutine(t *testing.T) {
	p := facade.New[int](facade.Config{})
	var stacks []string
	stack := func(context.Context, int) (int, error) {
		buf := make([]byte, 1<<12)
		stacks = append(stacks, string(buf[:runtime.Stack(buf, false)]))
		return 1, nil
	}
	last := facade.Step(p, "0", stack)
	for i := range 3 {
		last = facade.After(p, fmt.Sprint(i+1), last, stack)
	}
	f := build(t, p, missing)
	if _, err := f.Call(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var own int
	buf := make([]byte, 1<<12)
	fmt.Sscanf(string(buf[:runtime.Stack(buf, false)]), "goroutine %d", &own)
	for _, s := range stacks {
		var id int
		if fmt.Sscanf(s, "goroutine %d", &id); id != own {
			t.Errorf("a part ran on goroutine %d, the caller's is %d", id, own)
		}
	}
}

// What a call allocates: its state, its cells, the boxed input, and for each further
// branch what the go statement needs.
func TestAllocations(t *testing.T) {
	count := func(name string, want float64, p *facade.Plan[int]) {
		f := build(t, p, func(*facade.Values) (int, error) { return 1, nil })
		ctx := t.Context()
		if got := testing.AllocsPerRun(100, func() { f.Call(ctx, 1) }); got > want {
			t.Errorf("%s: %v allocations, want %v", name, got, want)
		}
	}
	one := facade.New[int](facade.Config{})
	facade.Step(one, "part", now[int](1))
	count("one part", 2, one)
	fan := facade.New[int](facade.Config{})
	for i := range 4 {
		facade.Step(fan, fmt.Sprint(i), now[int](1))
	}
	count("four parts", 5, fan)
	timed := facade.New[int](facade.Config{})
	for i := range 4 {
		facade.Step(timed, fmt.Sprint(i), now[int](1)).Timeout(time.Hour)
	}
	count("four parts with timeouts", 10, timed)
	waiting := facade.New[int](facade.Config{})
	for i := range 4 {
		facade.Step(waiting, fmt.Sprint(i), func(ctx context.Context, _ int) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			default:
				return 1, nil
			}
		}).Timeout(time.Hour)
	}
	count("four parts with timeouts that wait", 20, waiting)
}

// A part that needs another in both ways needs its value.
func TestHardAndSoftDependency(t *testing.T) {
	p := facade.New[int](facade.Config{})
	facade.Step(p, "other", now[int](1))
	on := facade.Step(p, "on", fails[int, int](0, errWrong)).Optional()
	facade.After2(p, "soft first", facade.Settled(on), on, func(context.Context, facade.Result[int], int) (int, error) {
		t.Error("called")
		return 0, nil
	}).Optional()
	facade.After2(p, "hard first", on, facade.Settled(on), func(context.Context, int, facade.Result[int]) (int, error) {
		t.Error("called")
		return 0, nil
	}).Optional()
	got, err := build(t, p, missing).Call(t.Context(), 0)
	if want := "on failed: wrong; soft first skipped: on has no value; hard first skipped: on has no value"; got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
