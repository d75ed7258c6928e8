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

// A second choice that was done is undone; a value of an earlier call is not.
func TestSecondChoicesAndUndo(t *testing.T) {
	var log log
	fail := false
	good := facade.LastGood(1, 0, func(context.Context, int) (int, error) {
		if fail {
			return 0, errWrong
		}
		return 1, nil
	})
	p := facade.New[int](facade.Config{})
	one := facade.Step(p, "chain", facade.Chain(fails[int, int](0, errWrong), now[int](1))).Undo(log.undoes("chain"))
	two := facade.After(p, "last good", one, good).Undo(log.undoes("last good"))
	facade.After(p, "fails", two, fails[int, int](0, errWrong))
	f := build(t, p, missing)
	f.Call(t.Context(), 0)
	log.add("now")
	fail = true
	f.Call(t.Context(), 0)
	if want := "undo last good, undo chain, now, undo chain"; log.String() != want {
		t.Errorf("got %v, want %s", &log, want)
	}
}

// An old value stays an old value, whatever else is said of it: it is not undone.
func TestChainOfAnOldValue(t *testing.T) {
	var log log
	fail := false
	archive := facade.LastGood(1, 0, func(context.Context, int) (int, error) {
		if fail {
			return 0, errWrong
		}
		return 1, nil
	})
	p := facade.New[int](facade.Config{})
	facade.Step(p, "part", facade.Chain(fails[int, int](0, errWrong), archive)).Undo(log.undoes("part"))
	f := build(t, p, func(*facade.Values) (int, error) { return 0, errWrong })
	f.Call(t.Context(), 0)
	log.add("now")
	fail = true
	f.Call(t.Context(), 0)
	if want := "undo part, now"; log.String() != want {
		t.Errorf("got %v, want %s", &log, want)
	}
}

// A function can say that its value is a second choice; it is undone all the same.
func TestDegraded(t *testing.T) {
	for _, fail := range []bool{false, true} {
		var log log
		p := facade.New[int](facade.Config{})
		facade.Step(p, "fine", func(ctx context.Context, _ int) (int, error) {
			facade.Degraded(ctx, nil)
			return 1, nil
		}).Undo(log.undoes("fine"))
		facade.Step(p, "page", func(ctx context.Context, _ int) (int, error) {
			ctx, cancel := context.WithCancel(ctx) // any context made of it will do
			defer cancel()
			facade.Degraded(ctx, errors.New("two banners are missing"))
			return 1, nil
		}).Undo(log.undoes("page"))
		facade.Step(p, "failed", func(ctx context.Context, _ int) (int, error) {
			facade.Degraded(ctx, errWrong)
			return 1, errors.New("down")
		}).Optional()
		f := build(t, p, func(v *facade.Values) (string, error) {
			s, _ := missing(v)
			if fail {
				return "", errors.New(s)
			}
			return s, nil
		})
		got, err := f.Call(t.Context(), 0)
		want := "page fell back: two banners are missing; failed failed: down"
		if fail {
			got = err.(*facade.Error).Err.Error()
		}
		if got != want || len(log.lines) != map[bool]int{false: 0, true: 2}[fail] {
			t.Errorf("got %q, %v; %v", got, err, &log)
		}
	}
	facade.Degraded(t.Context(), errWrong) // nobody to tell
}

// Only what the winner of a race says counts.
func TestDegradedLoser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := func(d time.Duration, err error) func(context.Context, int) (int, error) {
			return func(ctx context.Context, in int) (int, error) {
				facade.Degraded(ctx, err)
				return takes[int](d, 1)(ctx, in)
			}
		}
		for want, fns := range map[string][]func(context.Context, int) (int, error){
			"":                          {says(time.Hour, errWrong), says(ms, nil)},
			"part fell back: wrong":     {says(ms, errWrong), says(time.Hour, nil)},
			"part fell back: the first": {facade.First(nil, says(ms, errors.New("the first")), says(time.Hour, errWrong)), says(time.Hour, nil)},
		} {
			p := facade.New[int](facade.Config{})
			facade.Step(p, "part", facade.First(nil, fns...))
			if got, err := build(t, p, missing).Call(t.Context(), 0); got != want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		}
	})
}

// Of a list, one bad item is a gap, and many are a call that fails.
func TestEachSettled(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails func(in int) bool
		want  string
		err   string
		lacks string
	}{
		{"all are good", func(int) bool { return false }, "[{0 ok <nil>} {1 ok <nil>} {4 ok <nil>}]", "<nil>", ""},
		{"one is bad", func(in int) bool { return in == 1 }, "[{0 ok <nil>} {0 failed wrong} {4 ok <nil>}]", "<nil>",
			"list fell back: 1 of 3 items failed, the first: item 1: wrong"},
		{"all are bad", func(int) bool { return true }, "[]", "3 of 3 items failed, the first: item 0: wrong", ""},
	} {
		for _, limit := range []int{1, 3} {
			bubble(t, fmt.Sprint(tt.name, limit), func(t *testing.T) {
				list := facade.EachSettled(limit, nil, func(_ context.Context, in int) (int, error) {
					time.Sleep(ms)
					if tt.fails(in) {
						return 0, errWrong
					}
					return in * in, nil
				})
				got, err := list(t.Context(), []int{0, 1, 2})
				if fmt.Sprint(got) != tt.want || fmt.Sprint(err) != tt.err || err != nil && !errors.Is(err, errWrong) {
					t.Errorf("got %v, %v", got, err)
				}
				p := facade.New[[]int](facade.Config{})
				facade.Step(p, "list", list)
				lacks, err := build(t, p, missing).Call(t.Context(), []int{0, 1, 2})
				if lacks != tt.lacks || (err != nil) != (tt.err != "<nil>") {
					t.Errorf("in a plan: %q, %v", lacks, err)
				}
			})
		}
	}
	got, err := facade.EachSettled(3, nil, now[int](1))(t.Context(), nil)
	if got == nil || len(got) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

// At the end of its time, a list is what is there, and says what was not called.
func TestEachSettledInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[[]int](facade.Config{})
		list := facade.Step(p, "list", facade.EachSettled(1, nil, takes[int](40*ms, 7))).Timeout(100 * ms)
		got, err := build(t, p, func(v *facade.Values) (string, error) {
			return fmt.Sprint(list.Result(v)), nil
		}).Call(t.Context(), []int{0, 1, 2, 3})
		want := "{[{7 ok <nil>} {7 ok <nil>} {0 failed context deadline exceeded} {0 skipped no answer within 100ms (its context ended after 90ms)}] " +
			"fell back 2 of 4 items failed, the first: item 2: context deadline exceeded}"
		if got != want || err != nil {
			t.Errorf("got  %v, %v\nwant %s", got, err, want)
		}
	})
}
