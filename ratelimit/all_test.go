package ratelimit

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

func TestAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := New(Config{Rate: 10, Burst: 5})
		minute := New(Config{Rate: 1, Burst: 20})
		both := All(second, nil, minute, second, New(Config{Rate: rate.Inf}))
		start := time.Now()
		var at []time.Duration
		for range 40 {
			if err := both.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			at = append(at, time.Since(start))
		}
		want := make([]time.Duration, 0, 40)
		for i := range 40 {
			bySecond := time.Duration(max(0, i-4)) * 100 * time.Millisecond
			byMinute := time.Duration(max(0, i-19)) * time.Second
			want = append(want, max(bySecond, byMinute))
		}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Error(diff)
		}
		// Nothing is spent in vain: second is full, though many calls have waited.
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := both.Wait(ctx); !errors.Is(err, ErrDeadline) || err.(*Error).RetryAfter() != time.Second {
			t.Errorf("error %v", err)
		}
		if n := second.Tokens(); n != 5-1 {
			t.Errorf("%v tokens are left, want 4", n)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := both.Wait(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if err := All().Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// All does not pass those that wait at one of the limits.
func TestAllDoesNotJumpQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New(Config{Rate: 10, Burst: 3, StartEmpty: true}), New(Config{Rate: 1000})
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if a.WaitN(t.Context(), 3); time.Since(start) != 300*time.Millisecond {
				t.Errorf("three tokens after %v", time.Since(start))
			}
		})
		synctest.Wait()
		if err := All(a, b).Wait(t.Context()); err != nil || time.Since(start) != 400*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		wg.Wait()
	})
}

// When another call is faster at the last limit, the first get their tokens back.
func TestAllRollsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, last := New(Config{Rate: 1, Burst: 5}), New(Config{Rate: 1})
		a := &all{limiters: []*Limiter{first, last, last}} // as if the last token went meanwhile
		if after := a.take(time.Now()); after != time.Second {
			t.Errorf("again after %v, want 1s", after)
		}
		if first.Tokens() != 5 || last.Tokens() != 1 {
			t.Errorf("%v and %v tokens are left, want 5 and 1", first.Tokens(), last.Tokens())
		}
	})
}

// Those that wait for a limit and others learn when a token comes back to it in that way.
func TestAllLearnsOfRollBacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, last := New(Config{Rate: rate.Every(time.Hour), StartEmpty: true}), New(Config{Rate: 1})
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := All(first).Wait(t.Context()); err != nil || time.Since(start) != time.Minute {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
		time.Sleep(time.Minute)
		first.bucket.Load().fullAt.Store(0) // a token of which nobody was told
		a := &all{limiters: []*Limiter{first, last, last}}
		if after := a.take(time.Now()); after != time.Second {
			t.Errorf("again after %v, want 1s", after)
		}
		wg.Wait()
	})
}

// Together or not at all, whoever else takes at the same time.
func TestAllConcurrently(t *testing.T) {
	limits := make([]*Limiter, 3)
	for i := range limits {
		limits[i] = New(Config{Rate: rate.Every(time.Hour), Burst: 3000})
	}
	var together, alone atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 6))
			for range 2000 {
				if i := r.IntN(6); i < 3 {
					// Those limits run out at different times, so that some must
					// be given back.
					if i > 0 && limits[i].Allow() {
						alone.Add(1)
					}
				} else if All(limits[i-3], limits[(i-2)%3]).Wait(ctx) == nil {
					together.Add(2)
				}
			}
		})
	}
	wg.Wait()
	left := 0
	for _, l := range limits {
		left += l.Take(0).Remaining
	}
	if taken := 9000 - left; int64(taken) != together.Load()+alone.Load() {
		t.Errorf("%d tokens are gone, %d were granted", taken, together.Load()+alone.Load())
	}
}

func TestCharge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 100, Burst: 1000})
		charge := func(n int) Charge {
			c, err := l.Charge(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		tokens := func(want float64) {
			t.Helper()
			if got := l.Tokens(); got != want {
				t.Errorf("%v tokens, want %v", got, want)
			}
		}
		c := charge(800)
		time.Sleep(time.Second)
		tokens(300)
		c.Settle(200)
		tokens(900)
		c.Settle(0)
		tokens(900)

		c = charge(100)
		c.Settle(1300)
		tokens(-400)
		if l.Allow() {
			t.Error("allowed in debt")
		}
		start := time.Now()
		if c = charge(100); time.Since(start) != 5*time.Second {
			t.Errorf("100 tokens and 400 of debt took %v", time.Since(start))
		}
		c.Settle(100)
		tokens(0)

		// What waits is served when something is given back.
		time.Sleep(10 * time.Second)
		c = charge(1000)
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			if err := l.WaitN(t.Context(), 500); err != nil || time.Since(start) != time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
		time.Sleep(time.Second)
		c.Settle(0)
		wg.Wait()

		if _, err := l.Charge(t.Context(), 1001); !errors.Is(err, ErrTooLarge) {
			t.Errorf("error %v", err)
		}
		free := charge(0)
		before := l.Tokens()
		free.Settle(10)
		tokens(before - 10)
		var none *Limiter
		c, err := none.Charge(t.Context(), 10)
		if c.Settle(20); err != nil {
			t.Error(err)
		}
		open, err := New(Config{Rate: rate.Inf}).Charge(t.Context(), 10)
		if open.Settle(5); err != nil {
			t.Error(err)
		}
	})
}

// Settling late must not make a bucket that has been full meanwhile hold more: what
// calls have used stays within the bound in every window.
func TestSettleKeepsTheBound(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 12))
			const burst = 20
			l := New(Config{Rate: 1, Burst: burst})
			start := time.Now()
			var at []time.Duration // of each token that was used
			use := func(n int, when time.Duration) {
				for range n {
					at = append(at, when)
				}
			}
			type open struct {
				Charge
				estimate int
				at       time.Duration
			}
			var charges []open
			for range 400 {
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
				switch n := 1 + r.IntN(burst); r.IntN(3) {
				case 0:
					if l.AllowN(time.Now(), n) {
						use(n, time.Since(start))
					}
				case 1:
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					if c, err := l.Charge(ctx, n); err == nil {
						charges = append(charges, open{c, n, time.Since(start)})
					}
					cancel()
				default:
					if len(charges) > 0 {
						i := r.IntN(len(charges))
						c := charges[i]
						charges = slices.Delete(charges, i, i+1)
						actual := r.IntN(c.estimate + 1)
						c.Settle(actual)
						use(actual, c.at)
					}
				}
			}
			slices.Sort(at)
			for i := range at {
				for j := i; j < len(at); j++ {
					if most := burst + int((at[j]-at[i])/time.Second); j-i+1 > most {
						t.Fatalf("seed %d: %d tokens in %v, at most %d", seed, j-i+1, at[j]-at[i], most)
					}
				}
			}
		})
	}
}

// Calls that wait for several limits learn of a change of each at once.
func TestAllLearnsOfChanges(t *testing.T) {
	for name, change := range map[string]func(slow *Limiter, charge *Charge){
		"SetLimit":             func(slow *Limiter, _ *Charge) { slow.SetLimit(1e6) },
		"SetLimit to no limit": func(slow *Limiter, _ *Charge) { slow.SetLimit(rate.Inf) },
		"Settle":               func(_ *Limiter, charge *Charge) { charge.Settle(0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow, other := New(Config{Rate: rate.Every(time.Hour), Burst: 3}), New(Config{Rate: 1000, Burst: 10})
				charge, err := slow.Charge(t.Context(), 3)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var wg sync.WaitGroup
				for _, waiter := range []Waiter{All(slow, other), All(other, slow), slow} {
					wg.Go(func() {
						if err := waiter.Wait(t.Context()); err != nil || time.Since(start).Round(time.Second) != time.Minute {
							t.Errorf("%v after %v", err, time.Since(start))
						}
					})
				}
				time.Sleep(time.Minute)
				change(slow, &charge)
				wg.Wait()
				if n := len(slow.others.list) + len(other.others.list); n != 0 {
					t.Errorf("%d lines are still known", n)
				}
			})
		})
	}
}

// When a heavy call leaves the queue of one limit, those that wait for it and others
// need not wait for what it wanted.
func TestAllLearnsOfThoseThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 1, Burst: 100, StartEmpty: true})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		var wg sync.WaitGroup
		wg.Go(func() { l.WaitN(ctx, 100) })
		synctest.Wait()
		wg.Go(func() {
			if err := All(l).Wait(t.Context()); err != nil || time.Since(start) != 10*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
		time.Sleep(10 * time.Second)
		cancel()
		wg.Wait()
	})
}

// Changes, waiters of one limit, and waiters of several at once: nobody is left behind.
func TestAllUnderChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New(Config{Rate: 1000, Burst: 3}), New(Config{Rate: 1000, Burst: 3})
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				waiter := []Waiter{All(a, b), All(b, a), a, b}[w%4]
				for range 300 {
					if err := waiter.Wait(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for i := range 200 {
				[]*Limiter{a, b}[i%2].SetLimit([]rate.Limit{rate.Every(time.Hour), 1000}[i/2%2])
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
				if c, err := a.Charge(ctx, 2); err == nil {
					c.Settle(i % 3)
				}
				cancel()
				time.Sleep(time.Millisecond)
			}
			a.SetLimit(1e4)
			b.SetLimit(1e4)
		})
		start := time.Now()
		wg.Wait()
		if time.Since(start) > 10*time.Second {
			t.Errorf("took %v", time.Since(start))
		}
	})
}

// A Charge that was refused has nothing to settle.
func TestRefusedChargeIsEmpty(t *testing.T) {
	l := New(Config{Rate: 100, Burst: 10})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	full := New(Config{Rate: 1, Queue: -1})
	full.Allow()
	for name, charge := range map[string]func() (Charge, error){
		"context has ended": func() (Charge, error) { return l.Charge(gone, 5) },
		"ended, of nothing": func() (Charge, error) { return l.Charge(gone, 0) },
		"too large":         func() (Charge, error) { return l.Charge(t.Context(), 11) },
		"full":              func() (Charge, error) { return full.Charge(t.Context(), 1) },
	} {
		c, err := charge()
		if err == nil || c != (Charge{}) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		c.Settle(5)
	}
	if l.Tokens() != 10 || full.Tokens() < -0.1 {
		t.Errorf("%v and %v tokens after charges that were refused", l.Tokens(), full.Tokens())
	}
}
