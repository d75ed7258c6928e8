package gateway_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// A function that joins its own key, at whatever depth, gets an error instead of waiting
// for itself for ever.
func TestFlightThatJoinsItself(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f, other gateway.Flight[string, int]
		var inner, deep error
		v, err := f.Join(ctx, "k", func(ctx context.Context) (int, error) {
			_, inner = f.Join(ctx, "k", func(context.Context) (int, error) { t.Error("called"); return 0, nil })
			derived, cancel := context.WithTimeout(context.WithValue(ctx, userKey{}, "w"), time.Hour)
			defer cancel()
			return other.Join(derived, "k", func(ctx context.Context) (int, error) { // no wait for itself, nor is the next
				return other.Join(ctx, "l", func(ctx context.Context) (int, error) {
					_, deep = f.Join(ctx, "k", func(context.Context) (int, error) { t.Error("called"); return 0, nil })
					return 7, nil
				})
			})
		})
		if v != 7 || err != nil {
			t.Errorf("the outer call got %d, %v", v, err)
		}
		for _, err := range []error{inner, deep} {
			if !errors.Is(err, gateway.ErrAborted) || !strings.Contains(err.Error(), "itself") {
				t.Errorf("joining itself got %v", err)
			}
		}
	})
}

// One who is not of the flight waits, even with a context that was made within another.
func TestFlightOfOthersIsJoined(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f gateway.Flight[string, int]
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				v, err := f.Join(ctx, "outer"+string(rune('a'+time.Now().Nanosecond()%3)), func(ctx context.Context) (int, error) {
					return f.Join(ctx, "inner", func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil })
				})
				if v != 1 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			})
			time.Sleep(time.Nanosecond)
		}
		callers.Wait()
	})
}

// A NaN is equal to nobody's key: everybody calls, each can leave, and nothing is kept.
func TestFlightWithNaN(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f gateway.Flight[float64, int]
		var calls atomic.Int32
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				v, err := f.Join(ctx, math.NaN(), func(context.Context) (int, error) {
					time.Sleep(time.Second)
					return int(calls.Add(1)), nil
				})
				if v == 0 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			})
		}
		callers.Wait()
		if calls.Load() != 3 {
			t.Errorf("%d calls of 3", calls.Load())
		}
		patience, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		ended := false
		_, err := f.Join(patience, math.NaN(), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended = true
			return 0, nil
		})
		synctest.Wait()
		if err != context.DeadlineExceeded || !ended {
			t.Errorf("one who leaves gets %v, the work has ended: %t", err, ended)
		}
	})
	var f gateway.Flight[[2]float64, [1 << 10]byte]
	key := [2]float64{1, math.NaN()}
	join := func(n int) (grown uint64) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			f.Join(context.Background(), key, func(context.Context) (v [1 << 10]byte, err error) { return v, nil })
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(&f)
		return max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
	}
	if grown := join(10_000); grown > 1<<20 {
		t.Errorf("10,000 calls leave %d bytes", grown)
	}
}

// A key that cannot be hashed panics for its caller, and locks out nobody.
func TestFlightWithAnUnhashableKey(t *testing.T) {
	bothKinds(t, func(t *testing.T, ctx context.Context) {
		var f gateway.Flight[any, int]
		fn := func(context.Context) (int, error) { return 1, nil }
		for range 2 { // also before there is a map
			for _, key := range []any{[]int{1}, struct{ F any }{func() {}}} {
				func() {
					defer func() {
						if err, ok := recover().(runtime.Error); !ok || !strings.Contains(err.Error(), "unhashable") && !strings.Contains(err.Error(), "uncomparable") {
							t.Errorf("%T panics with %v", key, err)
						}
					}()
					f.Join(ctx, key, fn)
				}()
			}
			if v, err := f.Join(ctx, "k", fn); v != 1 || err != nil {
				t.Errorf("afterwards: %d, %v", v, err)
			}
		}
	})
}
