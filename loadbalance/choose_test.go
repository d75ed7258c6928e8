package loadbalance_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

func TestHint(t *testing.T) {
	for _, policy := range policies {
		inBubble(t, func(t *testing.T) {
			b := fixed(20, loadbalance.Config{Policy: policy, EjectAfter: 1})
			with := func(h loadbalance.Hint) string {
				t.Helper()
				p, err := b.PickWith(t.Context(), h)
				if err != nil {
					t.Fatal(err)
				}
				p.Done(good)
				return p.Endpoint().Key
			}
			for range 50 {
				if got := with(loadbalance.Hint{Prefer: []string{"4", "5", "none"}}); got != "4" && got != "5" {
					t.Errorf("%v: preferred, picked %s", policy, got)
				}
				if got := with(loadbalance.Hint{Prefer: []string{"4", "5"}, Exclude: []string{"4", "none"}}); got != "5" {
					t.Errorf("%v: picked %s", policy, got)
				}
				if got := with(loadbalance.Hint{Exclude: []string{"0", "4"}}); got == "0" || got == "4" {
					t.Errorf("%v: excluded, picked %s", policy, got)
				}
			}
			with(loadbalance.Hint{Prefer: []string{"none"}})
			at(t, b, "4", failed)
			if got := with(loadbalance.Hint{Prefer: []string{"4"}}); got == "4" {
				t.Errorf("%v: an ejected one was preferred", policy)
			}
			var all []string
			for _, e := range b.Stats().Endpoints {
				all = append(all, e.Key)
			}
			// Better an ejected endpoint than none, better none than an excluded one.
			if got := with(loadbalance.Hint{Exclude: slices.DeleteFunc(slices.Clone(all), func(k string) bool { return k == "4" })}); got != "4" {
				t.Errorf("%v: picked %s", policy, got)
			}
			if _, err := b.PickWith(t.Context(), loadbalance.Hint{Exclude: all}); !errors.Is(err, loadbalance.ErrNoEndpoints) {
				t.Errorf("%v: %v", policy, err)
			}
		})
	}
}

// A list of keys is looked up once, in each set and whatever the health in it; one that
// has changed all the same is noticed while it is short.
func TestPreferRemembers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{EjectAfter: 1, SlowStart: -1})
		defer b.Close()
		src.set(numbers(100)...)
		list := []string{"1", "2", "3"}
		goesTo := func(want ...int) {
			t.Helper()
			went := map[int]bool{}
			for range 200 {
				p, err := b.PickWith(t.Context(), loadbalance.Hint{Prefer: list})
				if err != nil {
					t.Fatal(err)
				}
				went[p.Value()] = true
				p.Done(good)
			}
			if got := slices.Sorted(maps.Keys(went)); !slices.Equal(got, want) {
				t.Errorf("picked %v, want %v", got, want)
			}
		}
		goesTo(1, 2, 3)
		list[0], list[2] = "4", "6"
		goesTo(2, 4, 6)
		at(t, b, "4", failed)
		goesTo(2, 6)
		src.set(numbers(5)...) // without 6
		goesTo(2)
		for i := range 20 { // more lists than are remembered
			list = []string{strconv.Itoa(i % 3), strconv.Itoa(i % 3), "none", strconv.Itoa(i)}
			goesTo(slices.Compact(slices.Sorted(slices.Values(slices.DeleteFunc([]int{i % 3, i}, func(n int) bool { return n > 4 || n == 4 }))))...)
		}
	})
}

// No endpoint ever has more calls than it may; when all are full there is an error,
// at once.
func TestMaxInFlight(t *testing.T) {
	for _, policy := range policies {
		inBubble(t, func(t *testing.T) {
			b := fixed(3, loadbalance.Config{Policy: policy, MaxInFlight: 5})
			var calls []*pick
			for range 15 {
				calls = append(calls, picked(t, b))
			}
			for _, e := range b.Stats().Endpoints {
				if e.InFlight != 5 {
					t.Errorf("%v: %+v", policy, e)
				}
			}
			_, err := b.Pick(t.Context())
			if e, ok := errors.AsType[*loadbalance.Error](err); !ok || !errors.Is(err, loadbalance.ErrOverloaded) || !e.Rejected() || e.Timeout() {
				t.Errorf("%v: %v", policy, err)
			}
			if _, err := b.PickWith(t.Context(), loadbalance.Hint{Exclude: []string{"0"}}); !errors.Is(err, loadbalance.ErrOverloaded) {
				t.Errorf("%v: %v", policy, err)
			}
			calls[7].Answered(good)
			if _, err := b.Pick(t.Context()); err == nil {
				t.Errorf("%v: an answered call is not in flight", policy)
			}
			calls[7].Done(good)
			if p := picked(t, b); p.Value() != calls[7].Value() {
				t.Errorf("%v: the free place is at %d, picked %d", policy, calls[7].Value(), p.Value())
			}
		})
	}
}

func TestMaxInFlightConcurrently(t *testing.T) {
	var mu sync.Mutex
	var now, most [3]int
	b := fixed(3, loadbalance.Config{MaxInFlight: 4})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				loadbalance.Run(t.Context(), b, func(_ context.Context, v int) error {
					mu.Lock()
					now[v]++
					most[v] = max(most[v], now[v])
					mu.Unlock()
					mu.Lock()
					now[v]--
					mu.Unlock()
					return nil
				})
			}
		})
	}
	wg.Wait()
	if slices.Max(most[:]) > 4 {
		t.Errorf("%v at once", most)
	}
	for _, e := range b.Stats().Endpoints {
		if e.InFlight != 0 {
			t.Errorf("%+v", e)
		}
	}
}

// The attempts of one call go to different endpoints, as long as there are any that
// are healthy; it is never an error that all have been tried.
func TestAttemptsGoElsewhere(t *testing.T) {
	for _, policy := range policies {
		for _, n := range []int{1, 2, 5, 20} {
			inBubble(t, func(t *testing.T) {
				b := fixed(n, loadbalance.Config{Policy: policy, EjectAfter: -1, EjectRate: -1})
				other := fixed(n, loadbalance.Config{})
				for range 20 {
					ctx := loadbalance.WithSpread(t.Context())
					tried := map[int]bool{}
					last := -1
					for i := range 2 * n {
						child, cancel := context.WithTimeout(ctx, time.Second)
						p, err := b.Pick(child)
						cancel()
						if err != nil {
							t.Fatal(err)
						}
						v := p.Value()
						p.Done(failed)
						if i < n && tried[v] || n > 1 && v == last {
							t.Fatalf("%v of %d: attempt %d went to %d, after %v", policy, n, i, v, tried)
						}
						tried[v], last = true, v
						o, _ := other.Pick(ctx) // which have nothing to do with it
						o.Done(good)
					}
				}
			})
		}
	}
}

// A retry goes to a healthy endpoint again rather than to one that is not; and it is
// no trial.
func TestAttemptsAndHealth(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(3, loadbalance.Config{EjectAfter: 3, EjectFor: time.Second})
		for range 3 {
			at(t, b, "2", failed)
		}
		ctx := loadbalance.WithSpread(t.Context())
		for i := range 4 {
			p, err := b.Pick(ctx)
			if err != nil || p.Value() == 2 {
				t.Fatalf("attempt %d: %d, %v", i, p.Value(), err)
			}
			p.Done(good)
			if i == 2 {
				time.Sleep(time.Second)
				inState(t, b, "2", loadbalance.HalfOpen, "")
			}
		}
		one(t, b, good) // with the fourth attempt, two calls to the two others
		first, _ := b.Pick(loadbalance.WithSpread(t.Context()))
		if first.Value() != 2 {
			t.Errorf("a first attempt went to %d, and is no trial", first.Value())
		}
		first.Done(good)
	})
}

// Hedges run at once.
func TestHedgesGoElsewhere(t *testing.T) {
	b := fixed(4, loadbalance.Config{})
	for range 200 {
		ctx := loadbalance.WithSpread(t.Context())
		var mu sync.Mutex
		var went []int
		var wg sync.WaitGroup
		first := picked(t, b)
		first.Done(good)
		for range 3 {
			p, _ := b.Pick(ctx)
			wg.Go(func() {
				mu.Lock()
				went = append(went, p.Value())
				mu.Unlock()
				p.Done(good)
			})
		}
		wg.Wait()
		slices.Sort(went)
		if len(slices.Compact(went)) != 3 {
			t.Fatalf("%v", went)
		}
	}
}

// What is remembered of a call is bounded.
func TestAttemptsAreBounded(t *testing.T) {
	b := fixed(100, unejected)
	ctx := loadbalance.WithSpread(t.Context())
	for range 1000 {
		p, err := b.Pick(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p.Done(failed)
	}
	if n := loadbalance.Tried(ctx); n != 64 {
		t.Errorf("%d are remembered", n)
	}
}
