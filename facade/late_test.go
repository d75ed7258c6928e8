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

// A part whose outcome is unknown is not undone, but named; with UndoAlways it is.
func TestUnknownOutcome(t *testing.T) {
	errTimeout := &timeoutError{}
	for _, tt := range []struct {
		name    string
		fn      func(context.Context, int) (int, error)
		unknown bool
	}{
		{"a plain error", fails[int, int](ms, errWrong), false},
		{"a timeout", takes[int](time.Hour, 1), true},
		{"a timeout as a string", func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, errors.New("query cancelled")
		}, true},
		{"a timeout of its own", fails[int, int](ms, errTimeout), true},
		{"a deadline of its own", fails[int, int](ms, fmt.Errorf("get: %w", context.DeadlineExceeded)), true},
		{"a panic", explode, true},
	} {
		for _, always := range []bool{false, true} {
			bubble(t, fmt.Sprint(tt.name, ", UndoAlways ", always), func(t *testing.T) {
				var log log
				p := facade.New[int](facade.Config{})
				done := facade.Step(p, "done", now[int](1)).Undo(log.undoes("done"))
				part := facade.After(p, "part", done, tt.fn).Undo(log.undoes("part")).Timeout(50 * ms)
				if always {
					facade.UndoAlways(part, p.In(), func(_ context.Context, key int) error {
						log.add("cancel %d", key)
						return nil
					})
				}
				f := build(t, p, missing)
				var err error
				if value, _ := crash(func() { _, err = f.Call(t.Context(), 77) }); value != nil {
					err = value.(*facade.PanicError).Err
				}
				wantLog, wantUnknown := "undo done", "[]"
				if tt.unknown && always {
					wantLog = "cancel 77, undo done"
				} else if tt.unknown {
					wantUnknown = "[part]"
				}
				if e := err.(*facade.Error); log.String() != wantLog || fmt.Sprint(e.Unknown) != wantUnknown || errors.Is(err, facade.ErrIncomplete) != (wantUnknown != "[]") {
					t.Errorf("got %v; %v\nwant %s; %s", &log, err, wantLog, wantUnknown)
				}
			})
		}
	}
}

type timeoutError struct{}

func (*timeoutError) Error() string { return "read: i/o timeout" }
func (*timeoutError) Timeout() bool { return true }

// With UndoAlways alone, it serves for parts that were done as well.
func TestUndoAlwaysAlone(t *testing.T) {
	var log log
	p := facade.New[string](facade.Config{})
	part := facade.Step(p, "part", now[string](1))
	facade.UndoAlways(part, p.In(), func(_ context.Context, key string) error {
		log.add("cancel %s", key)
		return nil
	})
	facade.After(p, "last", part, fails[int, int](0, errWrong))
	if _, err := build(t, p, missing).Call(t.Context(), "k"); log.String() != "cancel k" || errors.Is(err, facade.ErrIncomplete) {
		t.Errorf("got %v; %v", &log, err)
	}
}

// What a function returns that was left behind is undone, whether the call has
// succeeded without it, has failed, or goes on.
func TestLateResultIsUndone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		late   error
		others func(context.Context, int) (int, error)
		always bool
		want   string
		err    string
	}{
		{"the call has succeeded", nil, now[int](1), false, "returned, undo part", "<nil>"},
		{"the call has succeeded, a late error", errWrong, now[int](1), true, "returned", "<nil>"},
		{"the call goes on", nil, ignores[int](2*time.Hour, 1, nil), false, "undo part, returned", "<nil>"},
		{"the call has failed", nil, fails[int, int](70*ms, errWrong), false, "returned, undo part", "facade: other: wrong (outcome unknown: part)"},
		{"the call has failed, a late error", errWrong, fails[int, int](70*ms, errWrong), false, "returned", "facade: other: wrong (outcome unknown: part)"},
		{"the call has failed, a late error, undone always", errWrong, fails[int, int](70*ms, errWrong), true, "returned, cancel 77", "facade: other: wrong (outcome unknown: part)"},
		{"the call fails later", nil, ignores[int](2*time.Hour, 1, errWrong), false, "undo part, returned", "facade: other: wrong (undone: part)"},
		{"the call fails later, a late error", errWrong, ignores[int](2*time.Hour, 1, errWrong), false, "returned", "facade: other: wrong (outcome unknown: part)"},
		{"the call fails later, a late error, undone always", errWrong, ignores[int](2*time.Hour, 1, errWrong), true, "cancel 77, returned", "facade: other: wrong (undone: part)"},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var log log
			var observed []facade.Event
			p := facade.New[int](facade.Config{Observe: func(_ context.Context, e facade.Event) {
				if e.Kind == facade.Late {
					observed = append(observed, e)
				}
			}})
			part := facade.Step(p, "part", ignores[int](time.Hour, 1, tt.late)).Timeout(50 * ms).Optional().Undo(log.undoes("part"))
			if tt.always {
				facade.UndoAlways(part, p.In(), func(_ context.Context, key int) error {
					log.add("cancel %d", key)
					return nil
				})
			}
			facade.Step(p, "other", tt.others)
			f := build(t, p, missing)
			_, err := f.Call(t.Context(), 77)
			log.add("returned")
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			if log.String() != tt.want || fmt.Sprint(err) != tt.err {
				t.Errorf("got  %v; %v\nwant %s; %s", &log, err, tt.want, tt.err)
			}
			if len(observed) != 1 || observed[0].Part != "part" || observed[0].Err != tt.late {
				t.Errorf("observed %+v", observed)
			}
			if f.Stats().Parts[0].Left != 1 {
				t.Errorf("counted %+v", f.Stats())
			}
		})
	}
}

// A late undo that fails is observed.
func TestLateUndoFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last facade.Event
		p := facade.New[int](facade.Config{Observe: func(_ context.Context, e facade.Event) {
			if e.Kind == facade.Late {
				last = e
			}
		}})
		facade.Step(p, "other", now[int](1))
		facade.Step(p, "part", ignores[int](time.Hour, 1, nil)).Timeout(50 * ms).Optional().
			Undo(func(ctx context.Context, _ int) error {
				if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil {
					t.Error("the context has ended, or never will")
				}
				return errWrong
			})
		build(t, p, missing).Call(within(t, time.Second), 0)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if last.Kind != facade.Late || !errors.Is(last.Undo, errWrong) || last.Undone || last.Kind.String() != "late" {
			t.Errorf("observed %+v", last)
		}
	})
}

// An old value that comes late was not done by this call, and is not undone.
func TestLateSecondChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log log
		var err error
		good := facade.LastGood(1, 0, func(context.Context, int) (int, error) {
			if err != nil {
				time.Sleep(time.Second)
			}
			return 1, err
		})
		p := facade.New[int](facade.Config{})
		facade.Step(p, "part", good).Timeout(ms).Optional().Undo(log.undoes("part"))
		facade.Step(p, "other", now[int](1))
		f := build(t, p, missing)
		for _, err = range []error{nil, errWrong} {
			if _, err := f.Call(t.Context(), 0); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		if log.String() != "" {
			t.Errorf("got %v", &log)
		}
	})
}
