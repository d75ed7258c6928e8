package loadbalance_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// Nothing that a large set can be in makes a pick allocate.
func TestAllocationsOfLargeSets(t *testing.T) {
	if raced {
		t.Skip("the race detector makes pools lose what they have")
	}
	for _, n := range []int{10, 100, 1000, 10_000} {
		third := make([]string, 0, n/3+1)
		for i := 0; i < n; i += 3 {
			third = append(third, strconv.Itoa(i))
		}
		prefer := loadbalance.Hint{Prefer: third}
		for _, tt := range []struct {
			name string
			with loadbalance.Hint
			do   func(t *testing.T, src *feed, b *balancer)
		}{
			{"healthy", loadbalance.Hint{}, func(*testing.T, *feed, *balancer) {}},
			{"all in slow start", loadbalance.Hint{}, func(t *testing.T, src *feed, b *balancer) {
				set := numbers(n)
				for i := range set {
					set[i].Key = "new-" + set[i].Key
				}
				src.set(set...)
			}},
			{"a tenth ejected", loadbalance.Hint{}, func(t *testing.T, src *feed, b *balancer) { ejectTenth(t, b, n) }},
			{"all down", loadbalance.Hint{}, func(t *testing.T, src *feed, b *balancer) {
				for range 10 * n {
					one(t, b, failed)
				}
			}},
			{"a third preferred", prefer, func(*testing.T, *feed, *balancer) {}},
			{"a third preferred, a tenth ejected", prefer, func(t *testing.T, src *feed, b *balancer) { ejectTenth(t, b, n) }},
			{"some preferred, some excluded", loadbalance.Hint{Prefer: []string{"1", "2", "9"}, Exclude: []string{"2"}}, func(*testing.T, *feed, *balancer) {}},
		} {
			inBubble(t, func(t *testing.T) {
				src := newFeed()
				b := loadbalance.New(src, loadbalance.Config{EjectAfter: 1})
				defer b.Close()
				src.set(numbers(n)...)
				tt.do(t, src, b)
				if got := testing.AllocsPerRun(100, func() {
					p, err := b.PickWith(t.Context(), tt.with)
					if err != nil {
						t.Fatal(err)
					}
					p.Done(good)
				}); got != 0 {
					t.Errorf("%d, %s: %v allocations", n, tt.name, got)
				}
			})
		}
	}
}

func ejectTenth(t *testing.T, b *balancer, n int) {
	t.Helper()
	for i := range n / 10 {
		p, err := b.PickWith(t.Context(), loadbalance.Hint{Prefer: []string{strconv.Itoa(10 * i)}})
		if err != nil {
			t.Fatal(err)
		}
		p.Done(failed)
	}
}

// Those that are ejected have no calls, and all others have.
func TestTenthIsEjected(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(100, loadbalance.Config{EjectAfter: 1})
		ejectTenth(t, b, 100)
		for i, n := range counts(t, b, 100, 10_000) {
			if (n == 0) != (i%10 == 0) {
				t.Errorf("%d has %d calls", i, n)
			}
		}
	})
}

// A set that is replaced as a whole is in its slow start as a whole: the shares are those
// of the policy at once, and all end together.
func TestSlowStartOfAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var events atomic.Int64
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{Policy: loadbalance.RoundRobin, Observe: func(context.Context, loadbalance.Event) { events.Add(1) }})
		defer b.Close()
		src.set(endpoint{Key: "old"})
		src.set(numbers(10)...)
		for i, n := range counts(t, b, 10, 1000) { // a turn that passes over would break the round
			if n != 100 {
				t.Errorf("%d has %d calls of a thousand", i, n)
			}
		}
		time.Sleep(5 * time.Second)
		src.set(numbers(11)...) // one more, in relation to the ten that are half way
		if count := counts(t, b, 11, 11_000); count[10] < 120 || count[10] > 300 {
			t.Errorf("the newcomer has %d calls of eleven thousand, want about a fifth of its share", count[10])
		}
		events.Store(0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := events.Load(); n != 10 {
			t.Errorf("%d slow starts are over, want 10", n)
		}
		inState(t, b, "10", loadbalance.SlowStart, "")
		time.Sleep(5 * time.Second)
		inState(t, b, "10", loadbalance.Healthy, "its slow start is over")
	})
}

// A population answers like a list of indices.
func TestPopulation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + r.IntN(300)
		in := make([]bool, n)
		p := loadbalance.NewPopulation(n)
		var list []int
		for i := range in {
			in[i] = r.IntN(4) > 0
			if !in[i] {
				p.Remove(i)
				p.Remove(i)
			} else {
				list = append(list, i)
			}
		}
		var got []int
		for j := range p.Count() {
			got = append(got, p.Nth(j))
		}
		if !slices.Equal(got, list) {
			t.Fatalf("%v, want %v", got, list)
		}
	}
}
