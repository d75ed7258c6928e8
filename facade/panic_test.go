package facade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

//go:noinline
func explode(context.Context, int) (int, error) {
	time.Sleep(ms) // others have begun
	panic(errWrong)
}

func exit(context.Context, int) (int, error) {
	time.Sleep(ms)
	runtime.Goexit()
	return 0, nil
}

// crash calls f and returns how it ended: by a panic or an exit.
func crash(f func()) (value any, exited bool) {
	var wg sync.WaitGroup
	wg.Go(func() {
		exited = true
		defer func() { value = recover() }()
		f()
		exited = false
	})
	wg.Wait()
	return value, exited && value == nil
}

// A panic reaches the caller, on whichever goroutine the part ran and whatever the
// part is for, with its name and stack, after the others were cancelled and undone.
func TestPanics(t *testing.T) {
	type part = *facade.Part[int]
	for name, add := range map[string]func(*facade.Plan[int]) part{
		"on the caller's goroutine": func(p *facade.Plan[int]) part { return facade.Step(p, "part", explode) },
		"on another": func(p *facade.Plan[int]) part {
			facade.Step(p, "first", takes[int](ms, 1))
			return facade.Step(p, "part", explode)
		},
		"optional":        func(p *facade.Plan[int]) part { return facade.Step(p, "part", explode).Optional() },
		"with a timeout":  func(p *facade.Plan[int]) part { return facade.Step(p, "part", explode).Timeout(time.Hour) },
		"with a fallback": func(p *facade.Plan[int]) part { return facade.Step(p, "part", explode).Fallback(1) },
		"in the fallback": func(p *facade.Plan[int]) part {
			return facade.Step(p, "part", fails[int, int](0, errWrong)).FallbackFunc(func(ctx context.Context, _ error) (int, error) { return explode(ctx, 0) })
		},
		"after the others": func(p *facade.Plan[int]) part {
			return facade.After(p, "part", facade.Step(p, "first", takes[int](9*ms, 1)), explode)
		},
		"in First": func(p *facade.Plan[int]) part {
			return facade.Step(p, "part", facade.First(nil, explode, takes[int](time.Hour, 1)))
		},
		"in Each": func(p *facade.Plan[int]) part {
			each := facade.Each(2, nil, explode)
			return facade.Step(p, "part", func(ctx context.Context, _ int) (int, error) {
				_, err := each(ctx, []int{1, 2, 3})
				return 0, err
			})
		},
		"left behind": func(p *facade.Plan[int]) part {
			facade.Step(p, "part", func(ctx context.Context, _ int) (int, error) {
				time.Sleep(5 * ms)
				return explode(ctx, 0)
			}).Timeout(3 * ms).Optional()
			return facade.Step(p, "other", ignores[int](9*ms, 1, nil))
		},
	} {
		bubble(t, name, func(t *testing.T) {
			var log log
			p := facade.New[int](facade.Config{Name: "page"})
			done := facade.Step(p, "done", now[int](1)).Undo(log.undoes("done"))
			facade.After(p, "sibling", done, takes[int](time.Hour, 1))
			add(p)
			f := build(t, p, missing)
			value, _ := crash(func() { f.Call(t.Context(), 0) })
			err, ok := value.(*facade.PanicError)
			if !ok || err.Part != "part" || err.Value != any(errWrong) || !errors.Is(err, errWrong) {
				t.Fatalf("panicked with %v", value)
			}
			if !strings.Contains(string(err.Stack), "facade_test.explode(") || !strings.Contains(err.Error(), "facade: part: panic: wrong\n") {
				t.Errorf("the stack is %s", err)
			}
			if log.String() != "undo done" || fmt.Sprint(err.Err.Undone) != "[done]" {
				t.Errorf("undone: %v, %v", &log, err.Err)
			}
			if s := f.Stats(); s.Calls != 1 || s.Failed != 1 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// A runtime.Goexit, such as that of t.FailNow, ends the caller's goroutine, too.
func TestExits(t *testing.T) {
	exits := facade.Each(2, nil, exit)
	for name, fn := range map[string]func(context.Context, int) (int, error){
		"plain":    exit,
		"in First": facade.First(nil, exit, takes[int](time.Hour, 1)),
		"in Each": func(ctx context.Context, _ int) (int, error) {
			_, err := exits(ctx, []int{1, 2, 3})
			return 0, err
		},
	} {
		for _, other := range []bool{false, true} {
			bubble(t, fmt.Sprint(name, ", on another goroutine: ", other), func(t *testing.T) {
				var log log
				p := facade.New[int](facade.Config{})
				if other {
					facade.Step(p, "first", takes[int](time.Hour, 1))
				}
				facade.Step(p, "part", fn)
				facade.Step(p, "done", now[int](1)).Undo(log.undoes("done"))
				if value, exited := crash(func() { build(t, p, missing).Call(t.Context(), 0) }); !exited {
					t.Errorf("ended with %v", value)
				}
				if log.String() != "undo done" {
					t.Errorf("undone: %v", &log)
				}
			})
		}
	}
}

// Also a caller's goroutine that ends waits for the other parts, and undoes them.
func TestExitWaitsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log log
		p := facade.New[int](facade.Config{})
		facade.Step(p, "part", exit)
		facade.Step(p, "other", ignores[int](time.Second, 1, nil)).Undo(log.undoes("other"))
		_, exited := crash(func() { build(t, p, missing).Call(t.Context(), 0) })
		if !exited || log.String() != "undo other" {
			t.Errorf("exited %v, undone: %v", exited, &log)
		}
	})
}

// assemble runs on the caller's goroutine, and its panic is as it was.
func TestAssemblePanics(t *testing.T) {
	for _, exits := range []bool{false, true} {
		var log log
		p := facade.New[int](facade.Config{})
		facade.Step(p, "done", now[int](1)).Undo(log.undoes("done"))
		f := build(t, p, func(*facade.Values) (int, error) {
			if exits {
				runtime.Goexit()
			}
			panic("assemble")
		})
		value, exited := crash(func() { f.Call(t.Context(), 0) })
		if exited != exits || !exits && value != "assemble" || log.String() != "undo done" {
			t.Errorf("exits %v: panic %v, exited %v, %v", exits, value, exited, &log)
		}
	}
}

// A part that was left behind may panic while the answer is put together.
func TestPanicWhileAssembling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{})
		facade.Step(p, "product", now[int](1))
		facade.Step(p, "part", func(ctx context.Context, _ int) (int, error) {
			time.Sleep(time.Second)
			return explode(ctx, 0)
		}).Timeout(ms).Optional()
		f := build(t, p, func(*facade.Values) (int, error) {
			time.Sleep(time.Minute)
			return 1, nil
		})
		value, _ := crash(func() { f.Call(t.Context(), 0) })
		if err, ok := value.(*facade.PanicError); !ok || err.Part != "part" {
			t.Errorf("panicked with %v", value)
		}
	})
}

// An undo that panics or exits does not keep the others from being tried.
func TestUndoPanics(t *testing.T) {
	for _, exits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log log
			p := facade.New[int](facade.Config{})
			one := facade.Step(p, "one", now[int](1)).Undo(log.undoes("one"))
			two := facade.After(p, "two", one, now[int](1)).Undo(func(ctx context.Context, _ int) error {
				if exits {
					runtime.Goexit()
				}
				_, err := explode(ctx, 0)
				return err
			})
			facade.After(p, "three", two, fails[int, int](0, errors.New("down")))
			var err error
			value, _ := crash(func() { _, err = build(t, p, missing).Call(t.Context(), 0) })
			if crashed, ok := value.(*facade.PanicError); ok {
				err = crashed.Err
			}
			if crashed, ok := value.(*facade.PanicError); ok == exits || ok && crashed.Part != "two" {
				t.Errorf("panicked with %v", value)
			}
			if log.String() != "undo one" || !errors.Is(err, facade.ErrIncomplete) {
				t.Errorf("undone: %v; %v", &log, err)
			}
			want := "facade: three: down (undone: one) (undo of two: panic: wrong)"
			if exits {
				want = "facade: three: down (undone: one) (undo of two: facade: runtime.Goexit was called)"
			}
			if err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if crashed, ok := errors.AsType[*facade.PanicError](err); ok == exits || ok && !strings.Contains(string(crashed.Stack), "explode(") {
				t.Errorf("the stack is lost: %v", crashed)
			}
		})
	}
}

// Plans in plans: the part is named by its path, and the stack is that of the part.
func TestNestedPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := facade.New[int](facade.Config{})
		facade.Step(inner, "wait", takes[int](time.Hour, 1))
		facade.Step(inner, "part", explode)
		outer := facade.New[int](facade.Config{})
		facade.Step(outer, "wait", takes[int](time.Hour, 1))
		facade.Step(outer, "inner", build(t, inner, missing).Call)
		value, _ := crash(func() { build(t, outer, missing).Call(t.Context(), 0) })
		err, ok := value.(*facade.PanicError)
		if !ok || err.Part != "inner/part" || err.Value != any(errWrong) || !strings.Contains(string(err.Stack), "explode(") {
			t.Errorf("panicked with %v", value)
		}
	})
}

// A panic that comes when Call has returned is told to Observe.
func TestLatePanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var late []facade.Event
		p := facade.New[int](facade.Config{Name: "page", Observe: func(_ context.Context, e facade.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == facade.Late {
				late = append(late, e)
			}
		}})
		facade.Step(p, "product", now[int](1))
		facade.Step(p, "part", func(ctx context.Context, _ int) (int, error) {
			time.Sleep(time.Minute)
			return explode(ctx, 0)
		}).Timeout(ms).Optional()
		facade.Step(p, "other", func(ctx context.Context, _ int) (int, error) {
			time.Sleep(90 * time.Second)
			return exit(ctx, 0)
		}).Timeout(ms).Optional()
		facade.Step(p, "fallback", fails[int, int](0, errWrong)).Optional().FallbackFunc(func(ctx context.Context, _ error) (int, error) {
			time.Sleep(2 * time.Minute)
			return explode(ctx, 0)
		})
		if _, err := build(t, p, missing).Call(within(t, time.Minute-time.Second), 0); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if len(late) != 3 || late[0].Part != "part" || late[1].Part != "other" || late[2].Part != "fallback" || !errors.Is(late[2].Err, errWrong) || late[2].Name != "page" || late[2].Elapsed != 2*time.Minute+ms {
			t.Errorf("observed %v", late)
		}
	})
}

// Where there is neither a caller nor an Observe, a panic ends the process, as one on
// any other goroutine does.
func TestLatePanicTakesItsCourse(t *testing.T) {
	if os.Getenv("FACADE_LATE_PANIC") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLatePanicTakesItsCourse$")
		cmd.Env = append(os.Environ(), "FACADE_LATE_PANIC=1")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "panic: wrong") || !strings.Contains(string(out), "the call has succeeded") {
			t.Errorf("the process ended with %v:\n%s", err, out)
		}
		return
	}
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{})
		facade.Step(p, "product", now[int](1))
		facade.Step(p, "part", func(ctx context.Context, _ int) (int, error) {
			time.Sleep(time.Second)
			return explode(ctx, 0)
		}).Timeout(ms).Optional()
		if _, err := build(t, p, missing).Call(t.Context(), 0); err == nil {
			fmt.Println("the call has succeeded")
		}
		time.Sleep(time.Minute)
	})
}
