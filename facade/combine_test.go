package facade_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

// closer is a value that must be closed.
type closer struct {
	name   string
	closed *log
}

func (c *closer) Close() error {
	c.closed.add("%s", c.name)
	return nil
}

// A race leaves nothing behind: losers are cancelled, their values closed, and their
// goroutines end.
func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed log
		v := func(name string) *closer { return &closer{name, &closed} }
		var beaten error
		race := facade.First(nil,
			takes[int](3*ms, v("obeys")),
			func(ctx context.Context, _ int) (*closer, error) {
				<-ctx.Done()
				beaten = context.Cause(ctx)
				return v("at the end"), nil
			},
			ignores[int](time.Hour, v("ignores"), nil),
			fails[int, *closer](0, errWrong),
			takes[int](2*ms, v("wins")),
		)
		begin := time.Now()
		got, err := race(t.Context(), 0)
		if err != nil || got.name != "wins" || time.Since(begin) != 2*ms {
			t.Errorf("got %v, %v after %v", got, err, time.Since(begin))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if closed.String() != "at the end, ignores" || beaten == nil || errors.Is(beaten, context.Canceled) {
			t.Errorf("closed: %v; cause %v", &closed, beaten)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, err := facade.First(nil, fails[int, int](2*ms, errWrong), fails[int, int](ms, errors.New("down")))(t.Context(), 0)
		if !errors.Is(err, errWrong) || err.Error() != "wrong; down" {
			t.Errorf("got %v", err)
		}
		begin := time.Now()
		_, err = facade.First(nil, ignores[int](time.Hour, 1, nil))(within(t, ms), 0)
		if err != context.DeadlineExceeded || time.Since(begin) != ms {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestQuorum(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fns       []func(context.Context, int) (int, error)
		want      string
		discarded string
		elapsed   time.Duration
	}{
		{"two are enough", []func(context.Context, int) (int, error){takes[int](3*ms, 1), takes[int](9*ms, 2), takes[int](2*ms, 3)}, "[1 3] <nil>", "", 3 * ms},
		{"one fails", []func(context.Context, int) (int, error){takes[int](3*ms, 1), takes[int](9*ms, 2), fails[int, int](0, errWrong)}, "[1 2] <nil>", "", 9 * ms},
		{"two fail", []func(context.Context, int) (int, error){fails[int, int](3*ms, errWrong), takes[int](ms, 2), fails[int, int](2*ms, errWrong)}, "[] wrong; wrong", "2", 3 * ms},
		{"one hangs", []func(context.Context, int) (int, error){ignores[int](time.Hour, 1, nil), takes[int](ms, 2), fails[int, int](ms, errWrong)}, "[] context deadline exceeded", "2, 1", time.Second},
		{"a late loser", []func(context.Context, int) (int, error){ignores[int](time.Hour, 1, nil), takes[int](ms, 2), takes[int](2*ms, 3)}, "[2 3] <nil>", "1", 2 * ms},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var discarded log
			begin := time.Now()
			got, err := facade.Quorum(2, func(v int) { discarded.add("%d", v) }, tt.fns...)(within(t, time.Second), 0)
			if s := fmt.Sprint(got, err); s != tt.want || time.Since(begin) != tt.elapsed {
				t.Errorf("got %s after %v, want %s after %v", s, time.Since(begin), tt.want, tt.elapsed)
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if discarded.String() != tt.discarded {
				t.Errorf("discarded %v, want %s", &discarded, tt.discarded)
			}
		})
	}
}

// What races panics on the caller's goroutine, with its stack, until the race is over.
func TestRacePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		value, _ := crash(func() { facade.First(nil, explode, takes[int](time.Hour, 1))(t.Context(), 0) })
		if err, ok := value.(*facade.PanicError); !ok || !errors.Is(err, errWrong) || err.Part != "" {
			t.Errorf("panicked with %v", value)
		}
		if _, exited := crash(func() { facade.First(nil, exit, takes[int](time.Hour, 1))(t.Context(), 0) }); !exited {
			t.Error("did not exit")
		}
	})
}

// A panic that comes in the moment in which a race ends is not lost.
func TestPanicAtTheEndOfARace(t *testing.T) {
	value, _ := crash(func() { facade.Stray(errWrong) })
	if err, ok := value.(*facade.PanicError); !ok || err.Value != any(errWrong) {
		t.Errorf("panicked with %v", value)
	}
}

func TestEach(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 10, 100} {
		bubble(t, fmt.Sprint("limit ", limit), func(t *testing.T) {
			var g gauge
			begin := time.Now()
			got, err := facade.Each(limit, nil, func(ctx context.Context, in int) (int, error) {
				g.takes(time.Duration(10-in)*ms)(ctx, 0)
				return in * in, nil
			})(t.Context(), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
			if want := []int{0, 1, 4, 9, 16, 25, 36, 49, 64, 81}; err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v", got, err)
			}
			if g.max.Load() != int32(min(limit, 10)) || limit == 1 && time.Since(begin) != 55*ms || limit >= 10 && time.Since(begin) != 10*ms {
				t.Errorf("%d at a time, %v", g.max.Load(), time.Since(begin))
			}
		})
	}
	got, err := facade.Each(3, nil, now[int](1))(t.Context(), nil)
	if got == nil || len(got) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

// If one fails the others are cancelled, none begins any more, and values are not lost.
func TestEachFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed, called log
		_, err := facade.Each(3, nil, func(ctx context.Context, in int) (*closer, error) {
			called.add("%d", in)
			if in == 2 {
				return fails[int, *closer](5*ms, errWrong)(ctx, in)
			}
			return takes[int](time.Duration(in)*4*ms, &closer{fmt.Sprint(in), &closed})(ctx, in)
		})(t.Context(), []int{0, 1, 2, 3, 4, 5, 6})
		if !errors.Is(err, errWrong) || err.Error() != "item 2: wrong" {
			t.Errorf("got %v", err)
		}
		synctest.Wait() // closing is not the caller's time
		if closed.String() != "0, 1" || called.String() != "0, 1, 2, 3, 4" && called.String() != "2, 0, 1, 3, 4" && len(called.lines) != 5 {
			t.Errorf("closed %v, called %v", &closed, &called)
		}
		_, err = facade.Each(2, nil, takes[int](time.Hour, 1))(within(t, ms), []int{1, 2, 3})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errWrong)
		if _, err = facade.Each(2, nil, takes[int](0, 1))(ctx, []int{1}); err != errWrong {
			t.Errorf("got %v", err)
		}
	})
}

// Also where fn ends the caller's goroutine.
func TestEachExits(t *testing.T) {
	for range 20 { // the caller takes the one or the other
		synctest.Test(t, func(t *testing.T) {
			var closed log
			_, exited := crash(func() {
				facade.Each(2, nil, func(ctx context.Context, in int) (*closer, error) {
					if in == 0 {
						exit(ctx, in)
					}
					return ignores[int](5*ms, &closer{"one", &closed}, nil)(ctx, in)
				})(t.Context(), []int{0, 1})
			})
			synctest.Wait()
			if !exited || closed.String() != "one" {
				t.Errorf("exited %v, closed %v", exited, &closed)
			}
		})
	}
}

// A chain of fallbacks goes on after a deadline, as its last may need no time, but not
// when nobody wants an answer.
func TestChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := facade.Chain(takes[int](time.Hour, 1), func(context.Context, int) (int, error) { return 0, errWrong }, now[int](3))
		p := facade.New[int](facade.Config{})
		part := facade.Step(p, "part", chain).Timeout(100 * ms)
		good := facade.Step(p, "good", facade.Chain(now[int](1), now[int](2)))
		got, err := build(t, p, func(v *facade.Values) (string, error) { return fmt.Sprint(part.Result(v), good.Result(v)), nil }).Call(t.Context(), 0)
		if want := "{3 fell back context deadline exceeded; wrong} {1 ok <nil>}"; got != want || err != nil {
			t.Errorf("got %v, %v\nwant %s", got, err, want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(ms, cancel)
		if v, err := chain(ctx, 0); v != 0 || !errors.Is(err, context.Canceled) || errors.Is(err, errWrong) {
			t.Errorf("cancelled: %v, %v", v, err)
		}
		if v, err := facade.Chain(fails[int, int](0, errWrong), now[int](3))(t.Context(), 0); v != 3 || err != nil {
			t.Errorf("outside of a plan: %v, %v", v, err)
		}
	})
}

// What cannot work is said when it is made.
func TestCombinatorsPanic(t *testing.T) {
	one := now[int](1)
	for want, f := range map[string]func(){
		"facade: First of no functions":                      func() { facade.First[int, int](nil) },
		"facade: First: a function is nil":                   func() { facade.First(nil, one, nil) },
		"facade: Quorum of 3 out of 2 functions":             func() { facade.Quorum(3, nil, one, one) },
		"facade: Quorum of 0 out of 2 functions":             func() { facade.Quorum(0, nil, one, one) },
		"facade: Each with a limit of 0, want 1 or more":     func() { facade.Each(0, nil, one) },
		"facade: Each: a function is nil":                    func() { facade.Each[int, int](1, nil, nil) },
		"facade: Chain of no functions":                      func() { facade.Chain[int, int]() },
		"facade: LastGood: a function is nil":                func() { facade.LastGood[int, int](1, 0, nil) },
		"facade: LastGood with maxKeys of 0, want 1 or more": func() { facade.LastGood(0, 0, one) },
		"facade: Config.Limit is -1, want 1 or more, or 0 for none\nfacade: Config.UndoTimeout is -1ns, want more than 0, or 0 for the default": func() { facade.New[int](facade.Config{Limit: -1, UndoTimeout: -1}) },
	} {
		if value, _ := crash(f); value != want {
			t.Errorf("panicked with %v, want %s", value, want)
		}
	}
}
