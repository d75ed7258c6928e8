package ratelimit

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

// P1: in no window is more granted than burst and what has flowed in, with weights,
// with waiting, and with calls that do not wait in between.
func TestP1BoundInEveryWindow(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			burst := 1 + r.IntN(20)
			l := New(Config{Rate: rate.Every(time.Duration(1 + r.IntN(1e8))), Burst: burst, StartEmpty: r.IntN(4) == 0})
			every := l.bucket.Load().interval
			start := time.Now()
			var mu sync.Mutex
			var at []time.Duration // of each token
			grant := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				for range n {
					at = append(at, time.Since(start))
				}
			}
			var wg sync.WaitGroup
			for range 300 {
				n := 1 + r.IntN(burst)
				switch r.IntN(4) {
				case 0:
					if l.Allow() {
						grant(1)
					}
				case 1:
					if l.Take(n).OK {
						grant(n)
					}
				default:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(40))*every)
					if r.IntN(2) == 0 {
						ctx = LowPriority(ctx)
					}
					wg.Go(func() {
						defer cancel()
						if l.WaitN(ctx, n) == nil {
							grant(n)
						}
					})
				}
				time.Sleep(time.Duration(r.IntN(int(3 * every))))
			}
			wg.Wait()
			for i := range at {
				for j := i; j < len(at); j++ {
					if most := burst + int((at[j]-at[i])/every); j-i+1 > most {
						t.Fatalf("seed %d: %d tokens in %v, at most %d", seed, j-i+1, at[j]-at[i], most)
					}
				}
			}
			if len(at) < 100 {
				t.Errorf("seed %d: only %d tokens granted", seed, len(at))
			}
		})
	}
}

// P2: whoever waits is served as soon as there is enough.
func TestP2WorkConserving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 10, Burst: 5, StartEmpty: true})
		start := time.Now()
		var wg sync.WaitGroup
		due := 0
		for range 40 {
			n := 1 + rand.IntN(5)
			due += n
			want := time.Duration(due) * 100 * time.Millisecond
			wg.Go(func() {
				if err := l.WaitN(t.Context(), n); err != nil || time.Since(start) != want {
					t.Errorf("%v after %v, want %v", err, time.Since(start), want)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
	})
}

// P3: first come, first served in each class; high before low, but a low call is passed
// by few.
func TestP3Order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 10, StartEmpty: true})
		var mu sync.Mutex
		var order []int // low calls are negative
		var wg sync.WaitGroup
		for i := 1; i <= 200; i++ {
			ctx, id := t.Context(), i
			if i%4 == 0 {
				ctx, id = LowPriority(ctx), -i
			}
			wg.Go(func() {
				if err := l.Wait(ctx); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, id)
			})
			synctest.Wait()
		}
		wg.Wait()
		var high, low []int
		passed := 0
		for i, id := range order {
			if id > 0 {
				high, passed = append(high, id), passed+1
				continue
			}
			if low = append(low, -id); passed < maxPassed && len(high) < 150 {
				t.Errorf("low call %d was served %dth, after %d high ones", -id, i, passed)
			}
			passed = 0
		}
		if !slices.IsSorted(high) || !slices.IsSorted(low) || len(low) != 50 {
			t.Errorf("order %v", order)
		}
		// While both wait, one of eight is low: 150 high calls pass 21 low ones.
		if last := slices.Index(order, high[149]); last != 149+21 {
			t.Errorf("the last high call is served %dth", last)
		}
	})
}

// A heavy call of low priority is not starved by a stream of light ones, whose
// tokens would never add up for it.
func TestP3HeavyLowCallIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 10, Burst: 5, StartEmpty: true})
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for l.Wait(ctx) == nil {
				}
			})
		}
		synctest.Wait()
		if err := l.WaitN(LowPriority(t.Context()), 5); err != nil || time.Since(start) > (maxPassed+5)*100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		cancel()
		wg.Wait()
	})
}

// P4: those that stay are served as if those that leave had never come.
func TestP4CancelNeutrality(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			serve := func(withLeavers bool) []time.Duration {
				r := rand.New(rand.NewPCG(seed, 4))
				l := New(Config{Rate: 10, Burst: 4, StartEmpty: true})
				start := time.Now()
				served := make([]time.Duration, 60)
				var wg sync.WaitGroup
				wg.Go(func() { l.WaitN(t.Context(), 4) }) // all others wait behind it
				synctest.Wait()
				for i := range served {
					n, low, leaves, in := 1+r.IntN(4), r.IntN(3) == 0, r.IntN(2) == 0, time.Duration(r.IntN(90))*time.Millisecond
					time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
					if leaves && !withLeavers {
						continue
					}
					ctx, cancel := context.WithCancel(t.Context())
					if low {
						ctx = LowPriority(ctx)
					}
					if leaves {
						time.AfterFunc(in, cancel)
					}
					wg.Go(func() {
						defer cancel()
						if err := l.WaitN(ctx, n); (err != nil) != leaves {
							t.Errorf("waiter %d: %v", i, err)
						}
						if !leaves {
							served[i] = time.Since(start)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				return served
			}
			if diff := cmp.Diff(serve(false), serve(true)); diff != "" {
				t.Errorf("seed %d: those that left have changed when the others are served: %s", seed, diff)
			}
		})
	}
}

// P5: a denial changes nothing.
func TestP5DenialWritesNothing(t *testing.T) {
	l := New(Config{Rate: rate.Every(time.Hour), Burst: 3})
	l.AllowN(time.Now(), 2)
	before := l.bucket.Load().fullAt.Load()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if l.AllowN(time.Now(), 2) || l.Take(3).OK || l.Take(4).OK || l.WaitN(ctx, 2) == nil {
		t.Error("allowed")
	}
	if after := l.bucket.Load().fullAt.Load(); after != before {
		t.Errorf("changed from %d to %d", before, after)
	}
}

// P7: times that do not grow never let more through.
func TestP7ClockOrder(t *testing.T) {
	l := New(Config{Rate: 1, Burst: 10})
	now := l.epoch.Add(time.Hour)
	granted := 0
	for range 100_000 {
		for _, at := range []time.Time{now, now.Add(-5 * time.Second)} {
			if l.AllowN(at, 1) {
				granted++
			}
		}
	}
	if granted > 15 {
		t.Errorf("%d granted, at most 15", granted)
	}
	for _, at := range []time.Time{{}, time.Unix(1<<40, 0), time.Unix(-1<<40, 0)} { // far off
		New(Config{Rate: 1e-9, Burst: 1}).AllowN(at, 1)
	}
}

// P8: a change of the limit keeps the tokens.
func TestP8ReconfigurationKeepsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(8, 8))
		l := New(Config{Rate: 10, Burst: 100})
		for i := range 1000 {
			l.AllowN(time.Now(), 1+r.IntN(20))
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
			before := l.Tokens()
			if i%2 == 0 {
				l.SetLimit(rate.Limit(math.Exp(r.Float64()*14 - 4)))
			} else {
				l.SetBurst(1 + r.IntN(200))
			}
			want := min(before, float64(l.Burst()))
			if got := l.Tokens(); got > want+1e-9 || got < want-1e-3 {
				t.Fatalf("step %d: %v tokens after a change, want %v", i, got, want)
			}
		}
	})
}

// P10: extreme limits do not overflow, and what can never be is refused at once.
func TestP10Extremes(t *testing.T) {
	for _, cfg := range []Config{
		{Rate: 1e9, Burst: math.MaxInt / 8}, {Rate: 1e300, Burst: math.MaxInt / 4}, {Rate: 1. / 86400, Burst: 20_000},
		{Rate: rate.Every(math.MaxInt64 / 4), Burst: 1}, {Rate: math.SmallestNonzeroFloat64}, {Rate: rate.Inf, Burst: math.MaxInt / 4},
	} {
		if cfg.Validate() != nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			l := New(cfg)
			b := l.Burst()
			time.Sleep(200 * 365 * 24 * time.Hour / 4)
			if cfg.Rate != rate.Inf {
				if d := l.Take(math.MaxInt); d.OK || d.RetryAfter != 0 {
					t.Errorf("%+v: %+v", cfg, d)
				}
				if err := l.WaitN(t.Context(), b+1); err == nil {
					t.Errorf("%+v: more than burst", cfg)
				}
			}
			if !l.AllowN(time.Now(), b) {
				t.Errorf("%+v: burst denied", cfg)
			}
			if d := l.Take(1); cfg.Rate != rate.Inf && cfg.Rate < 1e9 && (d.OK || d.RetryAfter <= 0) {
				t.Errorf("%+v: %+v", cfg, d)
			}
			c := Charge{limiter: l, n: 0}
			c.Settle(math.MaxInt)
			if cfg.Rate != rate.Inf && l.Allow() {
				t.Errorf("%+v: allowed in debt", cfg)
			}
			l.SetLimit(1e9)
			l.SetLimit(rate.Inf)
			if !l.Allow() {
				t.Errorf("%+v: no limit denies", cfg)
			}
		})
	}
}

// P11: with weights, the same as exact fractions, step by step.
func TestP11AgreesWithReference(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 11))
			cfg := Config{Rate: []rate.Limit{1, 8, 1000, 1e6, 0.0625}[r.IntN(5)], Burst: 1 + r.IntN(50)}
			l, ref, xtime := New(cfg), newReference(cfg), rate.NewLimiter(cfg.Rate, cfg.Burst)
			start, off := time.Now(), 0
			for i := range 500 {
				time.Sleep(time.Duration(r.Float64() * 5 * float64(time.Second) / float64(cfg.Rate)))
				n := r.IntN(cfg.Burst + 2)
				want := n == 0 || n <= cfg.Burst && ref.allow(time.Since(start), n)
				if got := l.Take(n); got.OK != want {
					t.Fatalf("%+v, seed %d, step %d: %+v for %d, want %v", cfg, seed, i, got, n, want)
				} else if left, _ := ref.tokens.Float64(); want && n > 0 && got.Remaining != int(left) {
					t.Fatalf("%+v, seed %d, step %d: %+v, want %v remaining", cfg, seed, i, got, left)
				}
				if want {
					off += n
				}
				if xtime.AllowN(time.Now(), n) {
					off -= n
				}
			}
			if off < -cfg.Burst || off > cfg.Burst { // x/time/rate computes in floating point
				t.Errorf("%+v, seed %d: %d more granted than by x/time/rate", cfg, seed, off)
			}
		})
	}
}
