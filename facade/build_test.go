package facade_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
	"github.com/google/go-cmp/cmp"
)

// Everything that is wrong with a plan is reported, and at once.
func TestBuildErrors(t *testing.T) {
	type plan = *facade.Plan[int]
	step := func(p plan, name string) *facade.Part[int] { return facade.Step(p, name, now[int](1)) }
	two := func(_ context.Context, a, b int) (int, error) { return 0, nil }
	after := func(_ context.Context, a int) (int, error) { return 0, nil }
	var none *facade.Part[int]
	for want, wrong := range map[string]func(p plan){
		`two parts are called "twice"`: func(p plan) { step(p, "twice"); step(p, "twice"); step(p, "twice") },
		"a part has no name":           func(p plan) { step(p, "") },
		`part "nil" has no function`:   func(p plan) { facade.Step[int, int](p, "nil", nil) },
		`part "after" needs a part of plan "other"`: func(p plan) {
			facade.After2(p, "after", p.In(), step(facade.New[int](facade.Config{Name: "other"}), "foreign"), two)
		},
		`part "after" needs a part that is nil, or that Step or After has not made`: func(p plan) { facade.After(p, "after", none, after) },
		`part "after" is required, but needs "optional", which may have no value; give one a Fallback, make "after" Optional or "optional" Settled`: func(p plan) {
			facade.After(p, "after", step(p, "optional").Optional(), after)
		},
		`part "after" is required, but needs "perhaps", which may have no value; give one a Fallback, make "after" Optional or "perhaps" Settled`: func(p plan) {
			yes := facade.Step(p, "yes", now[int](true))
			facade.After(p, "after", step(p, "perhaps").When(yes), after)
		},
		`part "t": Timeout is -1ns, want more than 0`:          func(p plan) { step(p, "t").Timeout(-1) },
		`part "t": Expects is 0s, want more than 0`:            func(p plan) { step(p, "t").Expects(0) },
		`part "t": it Expects 2s, more than its Timeout of 1s`: func(p plan) { step(p, "t").Expects(2 * time.Second).Timeout(time.Second) },
		`part "t" has a second Timeout`:                        func(p plan) { step(p, "t").Timeout(1).Timeout(2) },
		`part "t" has a second Expects`:                        func(p plan) { step(p, "t").Expects(1).Optional().Expects(1) },
		`part "w" has a second When`: func(p plan) {
			yes, no := facade.Step(p, "yes", now[int](true)), facade.Step(p, "no", now[int](false))
			step(p, "w").When(yes).When(no)
		},
		`part "u" has a second Undo`: func(p plan) {
			undo := func(context.Context, int) error { return nil }
			step(p, "u").Undo(undo).Undo(undo)
		},
		`part "u" has a second UndoAlways`: func(p plan) {
			part, undo := step(p, "u"), func(context.Context, int) error { return nil }
			facade.UndoAlways(facade.UndoAlways(part, p.In(), undo), p.In(), undo)
		},
		`part "made" needs a part that is nil, or that Step or After has not made`: func(p plan) {
			facade.After(p, "made", new(facade.Part[int]), after)
		},
		`part "f" has 2 fallbacks`: func(p plan) {
			step(p, "f").Fallback(1).FallbackFunc(func(context.Context, error) (int, error) { return 0, nil })
		},
		`part "f": FallbackFunc is nil`:            func(p plan) { step(p, "f").FallbackFunc(nil) },
		`part "u": Undo is nil`:                    func(p plan) { step(p, "u").Undo(nil) },
		`part "u": UndoAlways is nil`:              func(p plan) { facade.UndoAlways[int, int](step(p, "u"), p.In(), nil) },
		`part "pivot": a Pivot cannot be Optional`: func(p plan) { step(p, "pivot").Pivot().Optional() },
		`part "early" needs "late", which must be added before it`: func(p plan) {
			early := step(p, "early")
			early.When(facade.Step(p, "late", now[int](true)))
		},
		`part "self" needs "self", which must be added before it`: func(p plan) {
			self := facade.Step(p, "self", now[int](true))
			self.When(self)
		},
		"Optional of input, which is not a part of its own":  func(p plan) { p.In().Optional() },
		"Timeout of settled, which is not a part of its own": func(p plan) { facade.Settled(step(p, "settled")).Timeout(1) },
		`part "s" needs a part that is nil, or that Step or After has not made`: func(p plan) {
			facade.After(p, "s", facade.Settled(none), func(context.Context, facade.Result[int]) (int, error) { return 0, nil })
		},
	} {
		p := facade.New[int](facade.Config{Name: "page"})
		step(p, "good")
		wrong(p)
		_, err := facade.Build(p, missing)
		if err == nil || err.Error() != `facade: plan "page": `+want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		step(p, "good") // and one more
		if _, err := facade.Build[int, int](p, nil); len(strings.Split(fmt.Sprint(err), "\n")) != 3 {
			t.Errorf("with two more: %v", err)
		}
	}
	p := facade.New[int](facade.Config{})
	if _, err := facade.Build(p, missing); err == nil || !strings.Contains(err.Error(), "it has no parts") {
		t.Errorf("empty: %v", err)
	}
	step(p, "optional").Optional()
	if _, err := facade.Build(p, missing); err == nil || !strings.Contains(err.Error(), "all its parts are Optional") {
		t.Errorf("all optional: %v", err)
	}
}

// A facade does not change with the plan, and knows its own handles only.
func TestFacadeIsImmutable(t *testing.T) {
	p := facade.New[int](facade.Config{Name: "page"})
	part := facade.Step(p, "part", fails[int, int](0, errWrong)).Optional()
	facade.Step(p, "other", now[int](1))
	var later *facade.Part[int]
	f := build(t, p, func(v *facade.Values) (string, error) {
		if later != nil {
			_ = later.Result(v)
			return fmt.Sprint(later.Value(v)), nil
		}
		return fmt.Sprint(part.Result(v)), nil
	})
	part.Fallback(7)
	if got, err := f.Call(t.Context(), 0); got != "{0 failed wrong}" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := build(t, p, func(v *facade.Values) (string, error) { return fmt.Sprint(part.Result(v)), nil }).Call(t.Context(), 0); got != "{7 fell back wrong}" || err != nil {
		t.Errorf("rebuilt: %v, %v", got, err)
	}
	for _, of := range []*facade.Plan[int]{p, facade.New[int](facade.Config{})} {
		later = facade.Step(of, "later", now[int](1))
		got, err := f.Call(t.Context(), 0)
		if want := `facade "page": facade: assemble reads part "later", which the plan did not have when it was built`; got != "" || fmt.Sprint(err) != want {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// The spans tell when each part ran, how it ended, and what took the call's time.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var events []facade.Event
		p := facade.New[int](facade.Config{Name: "page", Observe: func(ctx context.Context, e facade.Event) {
			if ctx.Value(key{}) != "caller's" {
				t.Error("not the caller's context")
			}
			events = append(events, e)
		}})
		a := facade.Step(p, "a", takes[int](10*ms, 1)).Undo(func(context.Context, int) error { return nil })
		b := facade.Step(p, "b", takes[int](5*ms, 1))
		no := facade.Step(p, "no", now[int](false))
		facade.Step(p, "unneeded", now[int](1)).When(no)
		c := facade.After2(p, "c", a, b, func(ctx context.Context, _, _ int) (int, error) { return takes[int](7*ms, 1)(ctx, 0) })
		facade.After(p, "d", b, func(ctx context.Context, in int) (int, error) { return takes[int](11*ms, 1)(ctx, 0) })
		begin, fail := time.Now(), false
		facade.After(p, "e", c, func(ctx context.Context, in int) (int, error) {
			if fail {
				return fails[int, int](ms, errWrong)(ctx, 0)
			}
			return 1, nil
		})
		f := build(t, p, missing)
		ctx := context.WithValue(t.Context(), key{}, "caller's")
		f.Call(ctx, 0)
		fail = true
		_, err := f.Call(ctx, 0)
		var lines []string
		if len(events) != 2 || !events[0].Begin.Equal(begin) || !events[1].Begin.Equal(begin.Add(17*ms)) {
			t.Errorf("the calls began at %v", begin)
		}
		for _, e := range events {
			lines = append(lines, fmt.Sprintf("%v %s %v %v", e.Kind, e.Name, e.Elapsed, e.Err == err))
			for _, s := range e.Spans {
				lines = append(lines, fmt.Sprintf("%s %v %v-%v critical=%v undone=%v", s.Part, s.Status, s.Start, s.End, s.Critical, s.Undone))
			}
		}
		want := `called page 17ms false
a ok 0s-10ms critical=true undone=false
b ok 0s-5ms critical=false undone=false
no ok 0s-0s critical=false undone=false
unneeded skipped 0s-0s critical=false undone=false
c ok 10ms-17ms critical=true undone=false
d ok 5ms-16ms critical=false undone=false
e ok 17ms-17ms critical=true undone=false
called page 18ms true
a ok 0s-10ms critical=true undone=true
b ok 0s-5ms critical=false undone=false
no ok 0s-0s critical=false undone=false
unneeded skipped 0s-0s critical=false undone=false
c ok 10ms-17ms critical=true undone=false
d ok 5ms-16ms critical=false undone=false
e failed 17ms-18ms critical=true undone=false`
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		counted := facade.Stats{Name: "page", Calls: 2, Failed: 1, Parts: []facade.PartStats{
			{Part: "a", OK: 2}, {Part: "b", OK: 2}, {Part: "no", OK: 2}, {Part: "unneeded"},
			{Part: "c", OK: 2}, {Part: "d", OK: 2}, {Part: "e", OK: 1, Failed: 1},
		}}
		if diff := cmp.Diff(counted, f.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

// The critical path of a call that has failed leads to what failed, not to a part that
// was cancelled, and ended last, because of it.
func TestCriticalPathOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var critical []string
		p := facade.New[int](facade.Config{Observe: func(_ context.Context, e facade.Event) {
			for _, s := range e.Spans {
				if s.Critical {
					critical = append(critical, s.Part)
				}
			}
		}})
		a := facade.Step(p, "a", takes[int](ms, 1))
		facade.After(p, "fails", a, fails[int, int](ms, errWrong))
		b := facade.Step(p, "b", takes[int](0, 1))
		facade.After(p, "innocent", b, ignores[int](time.Second, 1, nil))
		build(t, p, missing).Call(t.Context(), 0)
		if fmt.Sprint(critical) != "[a fails]" {
			t.Errorf("critical are %v", critical)
		}
	})
}

func TestStats(t *testing.T) {
	p := facade.New[int](facade.Config{Name: "page"})
	facade.Step(p, "ok", now[int](1))
	fallen := facade.Step(p, "fallen", fails[int, int](0, errWrong)).Fallback(1)
	failed := facade.After(p, "failed", fallen, fails[int, int](0, errWrong)).Optional()
	facade.After(p, "skipped", failed, now[int](1)).Optional()
	f := build(t, p, missing)
	f.Call(t.Context(), 0)
	want := facade.Stats{Name: "page", Calls: 1, Partial: 1, Parts: []facade.PartStats{
		{Part: "ok", OK: 1}, {Part: "fallen", FellBack: 1}, {Part: "failed", Failed: 1}, {Part: "skipped", Skipped: 1},
	}}
	if diff := cmp.Diff(want, f.Stats()); diff != "" {
		t.Error(diff)
	}
}

// A call counts as in flight until it returns, and as one that has ended afterwards.
func TestInFlight(t *testing.T) {
	p := facade.New[int](facade.Config{})
	var f *facade.Facade[int, string]
	facade.Step(p, "part", func(context.Context, int) (int, error) {
		if s := f.Stats(); s.InFlight != 1 || s.Calls != 0 {
			t.Errorf("in a call: %+v", s)
		}
		panic(errWrong)
	})
	f = build(t, p, missing)
	crash(func() { f.Call(t.Context(), 0) })
	if s := f.Stats(); s.InFlight != 0 || s.Calls != 1 || s.Failed != 1 {
		t.Errorf("afterwards: %+v", s)
	}
}

func TestOverride(t *testing.T) {
	p := facade.New[int](facade.Config{Name: "page"})
	n := facade.Step(p, "n", now[int](1))
	e := facade.Step(p, "e", now[int, error](errWrong))
	f := build(t, p, func(v *facade.Values) (string, error) { return fmt.Sprint(n.Value(v), e.Value(v)), nil })
	for _, tt := range []struct {
		part  string
		value any
		err   error
		want  string
	}{
		{"n", 7, nil, "7 wrong <nil>"},
		{"n", "7", nil, ` facade "page": n: facade: Override: part "n" cannot have a value of type string`},
		{"n", nil, nil, ` facade "page": n: facade: Override: part "n" cannot have a value of type <nil>`},
		{"n", nil, errWrong, ` facade "page": n: wrong`},
		{"e", nil, nil, "1 <nil> <nil>"},
		{"e", 3, nil, ` facade "page": e: facade: Override: part "e" cannot have a value of type int`},
	} {
		got, err := f.Override(tt.part, func(context.Context) (any, error) { return tt.value, tt.err }).Call(t.Context(), 0)
		if s := fmt.Sprint(got, " ", err); s != tt.want {
			t.Errorf("%s is %v, %v: got %s, want %s", tt.part, tt.value, tt.err, s, tt.want)
		}
	}
	if got, err := f.Call(t.Context(), 0); got != "1 wrong" || err != nil || f.Stats().Calls != 1 {
		t.Errorf("the original has changed: %v, %v, %v", got, err, f.Stats())
	}
	if value, _ := crash(func() { f.Override("m", func(context.Context) (any, error) { return 1, nil }) }); value != `facade: Override: plan "page" has no part "m"` {
		t.Errorf("panicked with %v", value)
	}
}

// A drawing needs no more than text that Mermaid understands.
func TestMermaidEscapes(t *testing.T) {
	p := facade.New[int](facade.Config{})
	yes := facade.Step(p, `say "<yes>"`, now[int](true)).Expects(time.Second)
	facade.Step(p, "do", now[int](1)).When(yes).Fallback(1)
	got := build(t, p, missing).Mermaid()
	want := "flowchart LR\n\tinput([input])\n\tp0[\"say #quot;#lt;yes#gt;#quot;<br>takes 1s\"]\n\tinput --> p0\n\tp1[\"do<br>if needed<br>or a fallback\"]\n\tinput --> p1\n\tp0 --> p1\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// One facade serves many goroutines, and their values do not mix.
func TestConcurrentCalls(t *testing.T) {
	p := facade.New[int](facade.Config{Limit: 3})
	twice := facade.Step(p, "twice", func(_ context.Context, in int) (int, error) { return 2 * in, nil })
	odd := facade.Step(p, "odd", func(_ context.Context, in int) (int, error) {
		if in%2 == 1 {
			return 0, errWrong
		}
		return in, nil
	}).Fallback(-1).Timeout(time.Hour)
	sum := facade.After2(p, "sum", twice, odd, func(_ context.Context, a, b int) (int, error) { return a + b, nil })
	f := build(t, p, func(v *facade.Values) (int, error) { return sum.Value(v), nil })
	errs := make(chan error)
	for i := range 8 {
		go func() {
			var err error
			for in := i; in < 4000; in += 8 {
				want := 3 * in
				if in%2 == 1 {
					want = 2*in - 1
				}
				if got, e := f.Call(t.Context(), in); got != want || e != nil {
					err = errors.Join(err, fmt.Errorf("%d: got %d, %v", in, got, e))
				}
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if s := f.Stats(); s.Calls != 4000 || s.Parts[1].FellBack != 2000 {
		t.Errorf("counted %+v", s)
	}
}
