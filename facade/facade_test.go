package facade_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

const ms = time.Millisecond

var errWrong = errors.New("wrong")

// takes returns a function that has v after d, unless its context ends before.
func takes[In, T any](d time.Duration, v T) func(context.Context, In) (T, error) {
	return func(ctx context.Context, _ In) (T, error) {
		var zero T
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return v, nil
		case <-ctx.Done():
			return zero, ctx.Err()
		}
	}
}

// fails returns a function that fails after d, unless its context ends before.
func fails[In, T any](d time.Duration, err error) func(context.Context, In) (T, error) {
	wait := takes[In](d, *new(T))
	return func(ctx context.Context, in In) (T, error) {
		v, ended := wait(ctx, in)
		if ended != nil {
			return v, ended
		}
		return v, err
	}
}

// ignores returns a function that has v after d, whatever its context says.
func ignores[In, T any](d time.Duration, v T, err error) func(context.Context, In) (T, error) {
	return func(context.Context, In) (T, error) {
		time.Sleep(d)
		return v, err
	}
}

// now returns a function that has v at once.
func now[In, T any](v T) func(context.Context, In) (T, error) {
	return func(context.Context, In) (T, error) { return v, nil }
}

func build[In, Out any](t testing.TB, p *facade.Plan[In], assemble func(*facade.Values) (Out, error)) *facade.Facade[In, Out] {
	t.Helper()
	f, err := facade.Build(p, assemble)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// missing is an assemble that tells what is missing.
func missing(v *facade.Values) (string, error) {
	var s []string
	for _, r := range v.Missing() {
		s = append(s, r.String())
	}
	return strings.Join(s, "; "), nil
}

// bubble runs a test in a bubble, where a goroutine that stays fails it.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// within returns a context with a deadline in a bubble.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// log is a list of what happened.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, ", ")
}

// undoes returns an Undo that is logged.
func (l *log) undoes(name string) func(context.Context, int) error {
	return func(context.Context, int) error {
		l.add("undo %s", name)
		return nil
	}
}

// TestParts is the table in the package documentation: a part that is required,
// optional, or has a fallback, in each situation.
func TestParts(t *testing.T) {
	p := func(kind string, part *facade.Part[int]) *facade.Part[int] {
		switch kind {
		case "optional":
			return part.Optional()
		case "fallback":
			return part.Fallback(-1)
		}
		return part
	}
	type step = func(context.Context, int) (int, error)
	for _, tt := range []struct {
		name     string
		fn       step
		on       func(*facade.Plan[int]) *facade.Part[int]                                // what it needs; nil: the input
		more     func(p *facade.Plan[int], part *facade.Part[int], no *facade.Part[bool]) // settings
		deadline time.Duration
		want     map[string]string // by kind: status and error, or that of the call
		elapsed  time.Duration
	}{
		{name: "ok", fn: takes[int](ms, 7), elapsed: ms,
			want: map[string]string{"required": "7 ok", "optional": "7 ok", "fallback": "7 ok"}},
		{name: "error", fn: fails[int, int](ms, errWrong), elapsed: ms,
			want: map[string]string{"required": "facade: part: wrong", "optional": "0 failed wrong", "fallback": "-1 fell back wrong"}},
		{name: "timeout", fn: takes[int](time.Hour, 7), elapsed: 45 * ms,
			more: func(_ *facade.Plan[int], p *facade.Part[int], _ *facade.Part[bool]) { p.Timeout(50 * ms) },
			want: map[string]string{"required": "facade: part: no answer within 50ms (its context ended after 45ms)", "optional": "0 failed no answer within 50ms (its context ended after 45ms)", "fallback": "-1 fell back no answer within 50ms (its context ended after 45ms)"}},
		{name: "timeout, answered at the last moment", elapsed: 45 * ms,
			fn: func(ctx context.Context, _ int) (int, error) {
				<-ctx.Done()
				return 7, nil
			},
			more: func(_ *facade.Plan[int], p *facade.Part[int], _ *facade.Part[bool]) { p.Timeout(50 * ms) },
			want: map[string]string{"required": "7 ok", "optional": "7 ok", "fallback": "7 ok"}},
		{name: "timeout, ignored", fn: ignores[int](time.Hour, 7, nil), elapsed: 50 * ms,
			more: func(_ *facade.Plan[int], p *facade.Part[int], _ *facade.Part[bool]) { p.Timeout(50 * ms) },
			want: map[string]string{"required": "facade: part: no answer within 50ms", "optional": "0 failed no answer within 50ms", "fallback": "-1 fell back no answer within 50ms"}},
		{name: "deadline", fn: takes[int](time.Hour, 7), deadline: 200 * ms, elapsed: 190 * ms,
			want: map[string]string{"required": "facade: part: no answer within 200ms (its context ended after 190ms)", "optional": "0 failed no answer within 200ms (its context ended after 190ms)", "fallback": "-1 fell back no answer within 200ms (its context ended after 190ms)"}},
		{name: "deadline, ignored", fn: ignores[int](time.Hour, 7, nil), deadline: 200 * ms, elapsed: 200 * ms,
			want: map[string]string{"required": "facade: part: no answer within 200ms", "optional": "0 failed no answer within 200ms", "fallback": "-1 fell back no answer within 200ms"}},
		{name: "too little time", fn: takes[int](time.Hour, 7), deadline: 200 * ms,
			more: func(_ *facade.Plan[int], p *facade.Part[int], _ *facade.Part[bool]) { p.Expects(211 * ms) },
			want: map[string]string{"required": "facade: part: facade: not enough time left to begin", "optional": "0 skipped facade: not enough time left to begin", "fallback": "-1 fell back facade: not enough time left to begin"}},
		{name: "needs a part without a value", fn: takes[int](time.Hour, 7),
			on: func(p *facade.Plan[int]) *facade.Part[int] {
				return facade.Step(p, "on", fails[int, int](0, errWrong)).Optional()
			},
			want: map[string]string{"optional": "0 skipped on has no value", "fallback": "-1 fell back on has no value"}},
		{name: "needs a part whose fallback has failed", fn: takes[int](time.Hour, 7),
			on: func(p *facade.Plan[int]) *facade.Part[int] {
				return facade.Step(p, "on", fails[int, int](0, errWrong)).Optional().
					FallbackFunc(func(context.Context, error) (int, error) { return 0, errors.New("empty") })
			},
			want: map[string]string{"required": "facade: part: on has no value", "optional": "0 skipped on has no value", "fallback": "-1 fell back on has no value"}},
		{name: "condition is false", fn: takes[int](time.Hour, 7),
			more: func(_ *facade.Plan[int], p *facade.Part[int], no *facade.Part[bool]) { p.When(no) },
			want: map[string]string{"required": "0 skipped facade: not needed", "optional": "0 skipped facade: not needed", "fallback": "-1 fell back facade: not needed"}},
		{name: "the call has failed", fn: takes[int](time.Hour, 7), elapsed: 3 * ms,
			more: func(plan *facade.Plan[int], _ *facade.Part[int], _ *facade.Part[bool]) {
				facade.Step(plan, "other", fails[int, int](3*ms, errWrong))
			},
			want: map[string]string{"required": "facade: other: wrong [part cancelled: facade: other: wrong]", "optional": "facade: other: wrong [part cancelled: facade: other: wrong]", "fallback": "facade: other: wrong [part cancelled: facade: other: wrong]"}},
	} {
		for kind, want := range tt.want {
			bubble(t, tt.name+"/"+kind, func(t *testing.T) {
				plan := facade.New[int](facade.Config{})
				anchor := facade.Step(plan, "anchor", now[int](1)) // so that not all are optional
				no := facade.Step(plan, "no", now[int](false))
				on := plan.In()
				if tt.on != nil {
					on = tt.on(plan)
				}
				part := p(kind, facade.After(plan, "part", on, tt.fn))
				if tt.more != nil {
					tt.more(plan, part, no)
				}
				f := build(t, plan, func(v *facade.Values) (string, error) {
					if anchor.Value(v) != 1 {
						t.Error("the anchor is lost")
					}
					r := part.Result(v)
					if r.Value != part.Value(v) {
						t.Errorf("Result has %d, Value is %d", r.Value, part.Value(v))
					}
					s := fmt.Sprint(r.Value, " ", r.Status)
					if r.Err != nil {
						s += " " + r.Err.Error()
					}
					return s, nil
				})
				ctx := t.Context()
				if tt.deadline > 0 {
					ctx = within(t, tt.deadline)
				}
				begin := time.Now()
				got, err := f.Call(ctx, 0)
				if err != nil {
					got = err.Error()
					if e := err.(*facade.Error); slices.ContainsFunc(e.Others, func(r facade.Reason) bool { return r.Part == "part" }) {
						r := e.Others[len(e.Others)-1]
						got += fmt.Sprintf(" [%s %v: %v]", r.Part, r.Status, r.Err)
					}
				}
				if got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if d := time.Since(begin); d != tt.elapsed {
					t.Errorf("took %v, want %v", d, tt.elapsed)
				}
				time.Sleep(2 * time.Hour) // what was left behind ends
			})
		}
	}
}
