package facade_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

// What was done is undone in the reverse order of its completion, in whatever way
// the call has failed, and nothing else is.
func TestUndo(t *testing.T) {
	for _, tt := range []struct {
		name string
		last func(context.Context, int) (int, error)
		want string
		err  string
	}{
		{"nothing fails", now[int](1), "", "<nil>"},
		{"a part fails", fails[int, int](5*ms, errWrong), "undo a, undo b, undo c", "facade: last: wrong (undone: a, b, c)"},
		{"early", fails[int, int](2500*time.Microsecond, errWrong), "undo b, undo c", "facade: last: wrong (undone: b, c) (outcome unknown: a)"},
		{"a timeout", takes[int](time.Hour, 1), "undo a, undo b, undo c", "facade: last: no answer within 50ms (its context ended after 45ms) (undone: a, b, c)"},
		{"a timeout, ignored", ignores[int](time.Hour, 1, nil), "undo a, undo b, undo c", "facade: last: no answer within 50ms (undone: a, b, c)"},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var log log
			p := facade.New[int](facade.Config{})
			facade.Step(p, "a", takes[int](3*ms, 1)).Undo(log.undoes("a"))
			facade.Step(p, "b", takes[int](2*ms, 1)).Undo(log.undoes("b"))
			facade.Step(p, "c", takes[int](1*ms, 1)).Undo(log.undoes("c"))
			facade.Step(p, "substituted", fails[int, int](0, errWrong)).Fallback(1).Undo(log.undoes("substituted"))
			facade.Step(p, "failed", fails[int, int](0, errWrong)).Optional().Undo(log.undoes("failed"))
			facade.Step(p, "without", takes[int](0, 1))
			facade.Step(p, "last", tt.last).Timeout(50 * ms)
			_, err := build(t, p, missing).Call(t.Context(), 0)
			if log.String() != tt.want || fmt.Sprint(err) != tt.err {
				t.Errorf("got  %v; %v\nwant %s; %s", &log, err, tt.want, tt.err)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

// Whatever ends a call, each part that was done is undone, once, and in the reverse
// order of completion.
func TestUndoProperty(t *testing.T) {
	for seed := range 400 {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			var done, undone log
			p := facade.New[int](facade.Config{Limit: random.IntN(4)})
			parts := []*facade.Part[int]{p.In()}
			ctx, cancel := context.WithCancel(t.Context())
			n := 1 + random.IntN(8)
			end := random.IntN(4)
			for i := range n {
				last := i == n-1
				d := time.Duration(random.Int64N(1e9))
				on := parts[random.IntN(len(parts))]
				part := facade.After(p, fmt.Sprint(i), on, func(ctx context.Context, _ int) (int, error) {
					if _, err := takes[int](d, 1)(ctx, 0); err != nil {
						return 0, err
					}
					switch {
					case last && end == 0:
						return 0, errWrong
					case last && end == 1:
						panic(errWrong)
					case last && end == 2:
						cancel()
						return 0, errWrong
					}
					done.add("%d", i)
					return 1, nil
				})
				if random.IntN(4) > 0 {
					part.Undo(func(context.Context, int) error {
						undone.add("%d", i)
						return nil
					})
				} else {
					facade.UndoAlways(part, p.In(), func(context.Context, int) error {
						if slices.Contains(done.lines, fmt.Sprint(i)) {
							undone.add("%d", i)
						}
						return nil
					})
				}
				parts = append(parts, part)
			}
			f := build(t, p, func(*facade.Values) (int, error) { return 0, errWrong })
			crash(func() {
				if _, err := f.Call(ctx, 0); err == nil {
					t.Error("the call has succeeded")
				}
			})
			cancel()
			slices.Reverse(undone.lines)
			if !slices.Equal(done.lines, undone.lines) {
				t.Errorf("seed %d, end %d: done %v, undone in reverse %v", seed, end, done.lines, undone.lines)
			}
		})
	}
}

// An error of assemble fails the call like that of a part.
func TestAssembleFails(t *testing.T) {
	var log log
	p := facade.New[int](facade.Config{Name: "page"})
	facade.Step(p, "a", now[int](1)).Undo(log.undoes("a"))
	n, err := build(t, p, func(*facade.Values) (int, error) { return 7, errWrong }).Call(t.Context(), 0)
	if n != 0 || !errors.Is(err, errWrong) || err.Error() != `facade "page": wrong (undone: a)` {
		t.Errorf("got %d, %v; %v", n, err, &log)
	}
}

// Undo runs on a context of its own: it lives, though the call's is cancelled, has
// the caller's values, and a deadline.
func TestUndoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		undone := 0
		undo := func(ctx context.Context, _ int) error {
			deadline, ok := ctx.Deadline()
			if ctx.Err() != nil || ctx.Value(key{}) != "caller's" || !ok {
				t.Errorf("error %v, value %v", ctx.Err(), ctx.Value(key{}))
			}
			// Two parts share ten seconds; a context ends a moment early.
			if want := time.Duration(undone+1)*5*time.Second - 10*ms; time.Until(deadline) != want {
				t.Errorf("ends in %v, want %v", time.Until(deadline), want)
			}
			undone++
			return ctx.Err()
		}
		p := facade.New[int](facade.Config{})
		one := facade.Step(p, "one", now[int](1)).Undo(undo)
		two := facade.After(p, "two", one, now[int](1)).Undo(undo)
		facade.After(p, "three", two, takes[int](time.Hour, 1))
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "caller's"))
		time.AfterFunc(ms, cancel)
		_, err := build(t, p, missing).Call(ctx, 0)
		if e := err.(*facade.Error); undone != 2 || len(e.Undone) != 2 || errors.Is(err, facade.ErrIncomplete) {
			t.Errorf("got %v", err)
		}
	})
}

// All undos are tried, also after one that fails, hangs, or ignores its context, and
// what they say is kept.
func TestAllUndosAreTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log log
		p := facade.New[int](facade.Config{UndoTimeout: 3 * time.Second})
		one := facade.Step(p, "one", now[int](1)).Undo(log.undoes("one"))
		two := facade.After(p, "two", one, now[int](1)).Undo(func(ctx context.Context, _ int) error {
			time.Sleep(time.Hour)
			return nil
		})
		three := facade.After(p, "three", two, now[int](1)).Undo(func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		})
		four := facade.After(p, "four", three, now[int](1)).Undo(func(ctx context.Context, _ int) error {
			return errors.New("refused")
		})
		facade.After(p, "five", four, fails[int, int](0, errWrong))
		begin := time.Now()
		_, err := build(t, p, missing).Call(t.Context(), 0)
		want := "facade: five: wrong (undone: one) (undo of four: refused) (undo of three: context deadline exceeded) (undo of two: no answer within 1.005s)"
		if err.Error() != want || log.String() != "undo one" {
			t.Errorf("got  %v; %v\nwant %s", err, &log, want)
		}
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("took %v", d)
		}
		retryable, ok := errors.AsType[interface {
			error
			Retryable() bool
		}](err)
		if !errors.Is(err, facade.ErrIncomplete) || !ok || retryable.Retryable() {
			t.Errorf("nobody learns that it is half undone: %v", err)
		}
		time.Sleep(2 * time.Hour)
	})
}

// After the pivot nothing before it is undone, and the value comes with the error.
func TestPivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log log
		p := facade.New[int](facade.Config{})
		before := facade.Step(p, "before", now[int](1)).Undo(log.undoes("before"))
		pivot := facade.After(p, "pivot", before, now[int](2)).Undo(log.undoes("pivot")).Pivot()
		after := facade.After(p, "after", pivot, now[int](3)).Undo(log.undoes("after"))
		last := facade.After(p, "last", after, fails[int, int](0, errWrong))
		v, err := build(t, p, func(v *facade.Values) (string, error) {
			return fmt.Sprint(pivot.Value(v), last.Result(v)), nil
		}).Call(t.Context(), 0)
		if v != "2 {0 failed wrong}" || log.String() != "undo after" || !errors.Is(err, errWrong) || !errors.Is(err, facade.ErrIncomplete) {
			t.Errorf("got %q, %v; %v", v, err, &log)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var log log
		p := facade.New[int](facade.Config{})
		before := facade.Step(p, "before", now[int](1)).Undo(log.undoes("before"))
		facade.After(p, "pivot", before, fails[int, int](0, errWrong)).Pivot()
		v, err := build(t, p, func(v *facade.Values) (string, error) { return "value", nil }).Call(t.Context(), 0)
		if v != "" || log.String() != "undo before" || errors.Is(err, facade.ErrIncomplete) {
			t.Errorf("got %q, %v; %v", v, err, &log)
		}
	})
}
