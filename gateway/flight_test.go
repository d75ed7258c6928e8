package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// bothKinds runs a test with a leader's context that cannot end, and with one that can.
func bothKinds(t *testing.T, test func(t *testing.T, ctx context.Context)) {
	t.Run("inline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, context.WithValue(context.Background(), userKey{}, "v")) })
	})
	t.Run("goroutine", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), userKey{}, "v"))
			defer cancel()
			test(t, ctx)
		})
	})
}

func TestFlightShares(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f gateway.Flight[string, int]
		calls := 0
		fn := func(ctx context.Context) (int, error) {
			calls++
			time.Sleep(time.Second)
			if userOf(ctx) != "v" {
				t.Error("the values of the context are gone")
			}
			return calls, nil
		}
		for round := range 3 {
			var callers sync.WaitGroup
			for range 10 {
				callers.Go(func() {
					if v, err := f.Join(ctx, "k", fn); v != round+1 || err != nil {
						t.Errorf("%d, %v in round %d", v, err, round)
					}
				})
			}
			callers.Go(func() {
				if v, err := f.Join(ctx, "other", func(context.Context) (int, error) { return 99, errX }); v != 99 || err != errX {
					t.Errorf("the other key has %d, %v", v, err)
				}
			})
			callers.Wait()
		}
	})
}

var errX = errors.New("x")

// The error of a flight is that of all who joined it.
func TestFlightSharesErrors(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f gateway.Flight[string, int]
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				if _, err := f.Join(ctx, "k", func(context.Context) (int, error) { time.Sleep(time.Second); return 0, errX }); err != errX {
					t.Errorf("%v", err)
				}
			})
		}
		callers.Wait()
	})
}

// One who leaves, the first included, leaves at once, and nobody else notices.
func TestFlightCallersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gateway.Flight[string, int]
		begin := time.Now()
		fn := func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(10 * time.Second):
				return 1, nil
			}
		}
		var callers sync.WaitGroup
		for i := range 5 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(i+1)*time.Second, errX)
				defer cancel()
				if _, err := f.Join(ctx, "k", fn); err != errX || time.Since(begin) != time.Duration(i+1)*time.Second {
					t.Errorf("caller %d got %v after %v", i, err, time.Since(begin))
				}
			})
			synctest.Wait() // so that caller 0 leads
		}
		callers.Go(func() {
			if v, err := f.Join(context.Background(), "k", fn); v != 1 || err != nil || time.Since(begin) != 10*time.Second {
				t.Errorf("the patient caller got %d, %v after %v", v, err, time.Since(begin))
			}
		})
		callers.Wait()
	})
}

// When the last has left the work ends, and a newcomer begins anew at that moment, even
// if the old work takes its time to stop.
func TestFlightEndsWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gateway.Flight[string, string]
		var ended time.Duration
		begin := time.Now()
		stubborn := func(ctx context.Context) (string, error) {
			<-ctx.Done()
			ended = time.Since(begin)
			if err := context.Cause(ctx); err != context.Canceled || ctx.Err() != context.Canceled {
				t.Errorf("the flight's context ends with %v", err)
			}
			time.Sleep(time.Hour)
			return "old", nil
		}
		var callers sync.WaitGroup
		for _, d := range []time.Duration{time.Second, 2 * time.Second} {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				f.Join(ctx, "k", stubborn)
			})
		}
		callers.Wait()
		synctest.Wait()
		if ended != 2*time.Second {
			t.Errorf("the work was told to stop after %v", ended)
		}
		callers.Go(func() {
			time.Sleep(90 * time.Minute) // the old flight has landed
			if v, err := f.Join(t.Context(), "k", func(context.Context) (string, error) { return "third", nil }); v != "new" || err != nil {
				t.Errorf("one who comes later got %q, %v", v, err)
			}
		})
		defer callers.Wait()
		v, err := f.Join(t.Context(), "k", func(ctx context.Context) (string, error) {
			time.Sleep(2 * time.Hour)
			if ctx.Err() != nil {
				t.Error("the newcomer joined a flight that was over")
			}
			return "new", nil
		})
		if v != "new" || err != nil {
			t.Errorf("the newcomer got %q, %v", v, err)
		}
	})
}

// A context that has ended does not even begin.
func TestFlightWithAnEndedContext(t *testing.T) {
	var f gateway.Flight[string, int]
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errX)
	if _, err := f.Join(ctx, "k", func(context.Context) (int, error) { t.Error("called"); return 0, nil }); err != errX {
		t.Error(err)
	}
}

// Contexts that fn derives end with the flight, without a goroutine that waits for it.
func TestFlightContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gateway.Flight[string, int]
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var derived context.Context
		before := runtime.NumGoroutine()
		f.Join(ctx, "k", func(ctx context.Context) (int, error) {
			if _, ok := ctx.Deadline(); ok {
				t.Error("it has the deadline of the first caller")
			}
			var stop context.CancelFunc
			derived, stop = context.WithTimeout(ctx, time.Hour)
			defer stop()
			if n := runtime.NumGoroutine(); n > before+1 {
				t.Errorf("%d goroutines, %d before", n, before)
			}
			<-derived.Done()
			return 0, nil
		})
		synctest.Wait()
		if derived.Err() != context.Canceled {
			t.Errorf("the derived context has %v", derived.Err())
		}
	})
}

// Who asks for the end of the context only later gets the truth, too.
func TestFlightContextAskedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gateway.Flight[string, int]
		fn := func(ctx context.Context) (int, error) {
			time.Sleep(2 * time.Second) // the first caller has left, another waits
			if err := context.Cause(ctx); err != nil || ctx.Err() != nil {
				t.Errorf("the context ends with one caller: %v", err)
			}
			time.Sleep(2 * time.Second) // all have left
			select {
			case <-ctx.Done():
			default:
				t.Error("the context goes on")
			}
			return 0, context.Cause(ctx)
		}
		var callers sync.WaitGroup
		for i := range 2 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(1+2*i)*time.Second, errX)
				defer cancel()
				f.Join(ctx, "k", fn)
			})
			synctest.Wait()
		}
		callers.Wait()
		time.Sleep(2 * time.Second)
	})
}

// Values that can be changed are not shared unless that is asked for.
func TestFlightClones(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		f := gateway.Flight[string, []int]{Clone: slices.Clone[[]int]}
		shared := gateway.Flight[string, []int]{Share: true}
		var first, same atomic.Pointer[int]
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				v, err := f.Join(ctx, "k", func(context.Context) ([]int, error) { time.Sleep(time.Second); return []int{3, 1, 2}, nil })
				slices.Sort(v) // races if it is shared
				if err != nil || v[0] != 1 || first.Swap(&v[0]) == &v[0] {
					t.Errorf("%v, %v", v, err)
				}
				v, _ = shared.Join(ctx, "k", func(context.Context) ([]int, error) { time.Sleep(time.Second); return []int{1}, nil })
				if p := same.Swap(&v[0]); p != nil && p != &v[0] {
					t.Error("not the same value for all")
				}
			})
		}
		callers.Wait()
	})
	var none gateway.Flight[string, *int]
	if _, err := none.Join(t.Context(), "k", func(context.Context) (*int, error) { return new(int), nil }); err == nil {
		t.Error("a pointer is shared and nobody has asked for it")
	}
	type plain struct {
		At   time.Time
		Name [2]string
	}
	var fine gateway.Flight[string, plain]
	if _, err := fine.Join(t.Context(), "k", func(context.Context) (plain, error) { return plain{}, nil }); err != nil {
		t.Error(err)
	}
	var header gateway.Flight[string, struct{ H http.Header }]
	if _, err := header.Join(t.Context(), "k", func(context.Context) (v struct{ H http.Header }, err error) { return v, nil }); err == nil {
		t.Error("a map in a struct is shared and nobody has asked for it")
	}
}

func TestFlightAllocs(t *testing.T) {
	var f gateway.Flight[string, int]
	fn := func(context.Context) (int, error) { return 1, nil }
	f.Join(context.Background(), "k", fn)
	if n := testing.AllocsPerRun(100, func() { f.Join(context.Background(), "k", fn) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
