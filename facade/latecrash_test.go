package facade_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

// A part that is left behind and then panics or exits may have been done: UndoAlways is
// called for it, as for one that returns.
func TestUndoAlwaysAfterALateCrash(t *testing.T) {
	down := errors.New("down")
	for name, end := range map[string]func(){"panic": func() { panic("late") }, "exit": runtime.Goexit} {
		for _, undoErr := range []error{nil, down} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var late facade.Event
					p := facade.New[string](facade.Config{Observe: func(_ context.Context, e facade.Event) {
						if e.Kind == facade.Late {
							late = e
						}
					}})
					b := facade.Step(p, "b", func(context.Context, string) (string, error) {
						time.Sleep(100 * time.Millisecond)
						end()
						return "", nil
					}).Timeout(30 * time.Millisecond)
					undone := ""
					facade.UndoAlways(b, p.In(), func(_ context.Context, key string) error {
						undone += key
						return undoErr
					})
					f, err := facade.Build(p, func(v *facade.Values) (string, error) { return b.Value(v), nil })
					if err != nil {
						t.Fatal(err)
					}
					if _, err := f.Call(t.Context(), "key"); !errors.Is(err, facade.ErrTimeout) {
						t.Errorf("%v, want %v", err, facade.ErrTimeout)
					}
					time.Sleep(time.Second)
					synctest.Wait()
					if undone != "key" || late.Undone != (undoErr == nil) || !errors.Is(late.Undo, undoErr) || late.Err == nil {
						t.Errorf("undone %q, told %+v", undone, late)
					}
				})
			})
		}
	}
}
