package gateway_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// A panic reaches the first caller as it was; nobody is left waiting.
func TestFlightPanics(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f gateway.Flight[string, int]
		var callers sync.WaitGroup
		fn := func(context.Context) (int, error) { time.Sleep(time.Second); panic("boom") }
		callers.Go(func() {
			if text := panicOf(func() { f.Join(ctx, "k", fn) }); text != "boom" {
				t.Errorf("the first caller sees %q", text)
			}
		})
		synctest.Wait()
		for range 3 {
			callers.Go(func() {
				if _, err := f.Join(ctx, "k", fn); !errors.Is(err, gateway.ErrAborted) {
					t.Errorf("another sees %v", err)
				}
			})
		}
		callers.Wait()
		if v, err := f.Join(ctx, "k", func(context.Context) (int, error) { return 1, nil }); v != 1 || err != nil {
			t.Errorf("the key is wedged: %d, %v", v, err)
		}
	})
}

func TestFlightGoexit(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f gateway.Flight[string, int]
		var callers sync.WaitGroup
		fn := func(context.Context) (int, error) { time.Sleep(time.Second); runtime.Goexit(); return 1, nil }
		returned := false
		callers.Go(func() {
			f.Join(ctx, "k", fn)
			returned = true
		})
		synctest.Wait()
		callers.Go(func() {
			if _, err := f.Join(ctx, "k", fn); !errors.Is(err, gateway.ErrAborted) {
				t.Errorf("another sees %v", err)
			}
		})
		callers.Wait()
		if returned {
			t.Error("the first caller goes on after Goexit")
		}
		if v, err := f.Join(ctx, "k", func(context.Context) (int, error) { return 1, nil }); v != 1 || err != nil {
			t.Errorf("the key is wedged: %d, %v", v, err)
		}
	})
}

// The first caller has left when fn panics: the others learn of it.
func TestFlightPanicsWithoutItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gateway.Flight[string, int]
		fn := func(context.Context) (int, error) { time.Sleep(2 * time.Second); panic("boom") }
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			f.Join(ctx, "k", fn)
		})
		synctest.Wait()
		callers.Go(func() {
			if _, err := f.Join(t.Context(), "k", fn); !errors.Is(err, gateway.ErrAborted) || !strings.Contains(err.Error(), "boom") {
				t.Errorf("another sees %v", err)
			}
		})
		callers.Wait()
	})
}
