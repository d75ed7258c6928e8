package ratelimit

import (
	"context"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// reference is a token bucket in exact fractions.
type reference struct {
	rate, burst, tokens *big.Rat
	last                time.Duration
}

func newReference(cfg Config) *reference {
	r := &reference{rate: new(big.Rat).SetFloat64(float64(cfg.Rate)), burst: big.NewRat(int64(cfg.Burst), 1)}
	r.tokens = new(big.Rat).Set(r.burst)
	return r
}

func (r *reference) allow(now time.Duration, n int) bool {
	r.tokens.Add(r.tokens, new(big.Rat).Mul(r.rate, big.NewRat(int64(now-r.last), int64(time.Second))))
	if r.tokens.Cmp(r.burst) > 0 {
		r.tokens.Set(r.burst)
	}
	r.last = now
	if r.tokens.Cmp(big.NewRat(int64(n), 1)) < 0 {
		return false
	}
	r.tokens.Sub(r.tokens, big.NewRat(int64(n), 1))
	return true
}

// Where the interval is a whole number of nanoseconds, the limiter must agree with
// the reference exactly, and with x/time/rate in all.
func TestAllowAgreesWithReferences(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			cfg := Config{Rate: []rate.Limit{1, 8, 1000, 1e6, 0.0625}[r.IntN(5)], Burst: 1 + r.IntN(20)}
			l, ref, xtime := New(cfg), newReference(cfg), rate.NewLimiter(cfg.Rate, cfg.Burst)
			start := time.Now()
			granted := 0
			for i := range 500 {
				time.Sleep(time.Duration(r.Float64() * 3 * float64(time.Second) / float64(cfg.Rate)))
				for range r.IntN(5) {
					now := time.Since(start)
					want := ref.allow(now, 1)
					if got := l.Allow(); got != want {
						t.Fatalf("%+v, seed %d, step %d at %v: %v, want %v", cfg, seed, i, now, got, want)
					}
					if want {
						granted++
					}
					if xtime.Allow() {
						granted--
					}
				}
			}
			if granted < -1 || granted > 1 { // x/time/rate computes in floating point
				t.Errorf("%+v, seed %d: %d more granted than by x/time/rate", cfg, seed, granted)
			}
		})
	}
}

// FuzzBound checks the promise on any rate: in no span more than burst + rate*span.
func FuzzBound(f *testing.F) {
	f.Add(100.0, 10, []byte{0, 0, 0, 1, 200, 3})
	f.Add(1e9, 1000, []byte{0, 1, 2})
	f.Add(1.0/86400, 3, []byte{255, 255, 0})
	f.Add(3.0, 1, []byte{9, 9, 9, 9})
	f.Fuzz(func(t *testing.T, perSecond float64, burst int, waits []byte) {
		cfg := Config{Rate: rate.Limit(perSecond), Burst: burst}
		if cfg.Validate() != nil || cfg.Rate == rate.Inf {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			l := New(cfg)
			start := time.Now()
			var granted []time.Duration
			for _, w := range waits {
				time.Sleep(time.Duration(float64(w) / 100 * float64(interval(cfg.Rate))))
				for range 3 {
					if l.Allow() {
						granted = append(granted, time.Since(start))
					}
				}
			}
			for i := range granted {
				for j := i; j < len(granted); j++ {
					bound := float64(max(1, burst)) + perSecond*(granted[j]-granted[i]).Seconds()
					if n := float64(j - i + 1); n > bound*(1+1e-12) {
						t.Fatalf("%v calls in %v, bound %v", n, granted[j]-granted[i], bound)
					}
				}
			}
		})
	})
}

// On a real clock, with the goroutines' readings of it out of order, the bound holds
// and nothing is refused that was there.
func TestBoundHoldsConcurrently(t *testing.T) {
	for _, perSecond := range []rate.Limit{500_000, 1_000_000} {
		l := New(Config{Rate: perSecond, Burst: 100})
		k := NewKeyed(KeyedConfig[int]{Rate: perSecond, Burst: 100})
		start := time.Now()
		var granted, byKey atomic.Int64
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for range 20_000 {
					if l.Allow() {
						granted.Add(1)
					}
					if k.Allow(w % 2) {
						byKey.Add(1)
					}
				}
			})
		}
		wg.Wait()
		bound := 100 + float64(perSecond)*time.Since(start).Seconds()
		if float64(granted.Load()) > bound || float64(byKey.Load()) > 2*bound {
			t.Errorf("%d granted, %d by key, bound %v for each", granted.Load(), byKey.Load(), bound)
		}
	}
}

// P6: with a generous limit each call must be let through, at whatever moment between
// its begin and its end it is thought to happen; a stale time would refuse some.
func TestP6NoRefusalWithTokensLeft(t *testing.T) {
	l := New(Config{Rate: 1e9, Burst: 100_000}) // full again in 0.1 ms
	k := NewKeyed(KeyedConfig[int]{Rate: 1e9, Burst: 100_000})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20_000 {
				if !l.Allow() || !k.Allow(1) || !l.Take(1).OK {
					t.Error("refused")
					return
				}
			}
		})
	}
	wg.Wait()
}

// P6: of concurrent calls on a limit that does not refill in the meantime no two take
// the same token.
func TestP6EachTokenIsTakenOnce(t *testing.T) {
	l := New(Config{Rate: rate.Every(time.Hour), Burst: 4000})
	var mu sync.Mutex
	next := map[time.Duration]bool{}
	granted := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if _, at, after := l.take(1); after <= 0 {
					mu.Lock()
					if next[at] {
						t.Errorf("two calls have taken the token up to %v", at)
					}
					next[at], granted = true, granted+1
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if granted != 4000 {
		t.Errorf("%d granted, want 4000", granted)
	}
}

// Changes of the limit under way neither make tokens nor lose any.
func TestReconfigurationConcurrently(t *testing.T) {
	l := New(Config{Rate: rate.Every(time.Hour), Burst: 4000})
	var granted atomic.Int64
	stop := make(chan struct{})
	var wg, changes sync.WaitGroup
	changes.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				l.SetLimit(rate.Every(time.Duration(1+i%2) * time.Hour))
				l.SetBurst(4000 + i%3*1000)
			}
		}
	})
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if l.Allow() {
					granted.Add(1)
				}
				l.Tokens()
			}
		})
	}
	wg.Wait()
	close(stop)
	changes.Wait()
	// Each change rounds down by a part of a token.
	if n := granted.Load(); n > 4000 || n < 3990 {
		t.Errorf("%d granted, want 4000", n)
	}
}

// An interval that is no whole number of nanoseconds is rounded against the caller.
func TestNeverFasterThanTheRate(t *testing.T) {
	for _, r := range []rate.Limit{3, 7, 999, 9.7e6, 1e9 / 3} {
		synctest.Test(t, func(t *testing.T) {
			l := New(Config{Rate: r})
			start := time.Now()
			const n = 1000
			for range n + 1 {
				if err := l.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got, least := time.Since(start).Seconds(), n/float64(r); got < least {
				t.Errorf("rate %v: %d intervals in %vs, want at least %vs", r, n, got, least)
			}
		})
	}
}

func TestAllowDoesNotJumpTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 1, Burst: 5})
		l.Take(3)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.WaitN(ctx, 5) })
		synctest.Wait()
		if l.Allow() || l.AllowN(time.Now(), 1) {
			t.Error("Allow took the token of a waiter")
		}
		if d := l.Take(1); d.OK || d.Remaining != 2 || d.RetryAfter != 4*time.Second {
			t.Errorf("%+v behind a waiter, want to be let through in 4s", d)
		}
		if d := l.Take(6); d.OK || d.RetryAfter != 0 {
			t.Errorf("%+v for more than the burst", d)
		}
		if !l.AllowN(time.Now(), 0) || !l.Take(0).OK || l.WaitN(t.Context(), 0) != nil {
			t.Error("nothing is not free")
		}
		cancel()
		wg.Wait()
		if !l.Allow() || !l.AllowN(time.Now(), 1) {
			t.Error("Allow is false without waiters")
		}
	})
}

// Those that wait are served at the new limit, or refused if it is too low for them.
func TestReconfigurationReachesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: rate.Every(time.Hour), Burst: 3, StartEmpty: true})
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := l.Wait(t.Context()); err != nil || time.Since(start) != 100*time.Millisecond {
				t.Errorf("%v after %v, want 100ms", err, time.Since(start))
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := l.WaitN(t.Context(), 3); !errors.Is(err, ErrTooLarge) || time.Since(start) != 100*time.Millisecond {
				t.Errorf("%v after %v, want to be refused when its turn comes", err, time.Since(start))
			}
		})
		synctest.Wait()
		l.SetLimit(10)
		l.SetBurst(2)
		wg.Wait()
		if l.Limit() != 10 || l.Burst() != 2 {
			t.Errorf("limit %v, burst %d", l.Limit(), l.Burst())
		}
		for want, change := range map[string]func(){
			"ratelimit: Limiter.SetLimit: Rate is 0, want more than 0":   func() { l.SetLimit(0) },
			"ratelimit: Limiter.SetLimit: Rate is NaN, want more than 0": func() { l.SetLimit(rate.Limit(math.NaN())) },
			"ratelimit: Limiter.SetBurst: Burst is 0, want 1 or more":    func() { l.SetBurst(0) },
			"ratelimit: Limiter.SetBurst: Burst is -1, want 1 or more":   func() { l.SetBurst(-1) },
			"ratelimit: Limiter.SetBurst: Burst is 2147483647, which takes more than 70 years to fill at a Rate of 0.5": func() {
				New(Config{Rate: 0.5}).SetBurst(math.MaxInt32)
			},
			"ratelimit: Bulkhead.SetLimit: Limit is 0, want 1 to 1048576": func() { NewBulkhead(BulkheadConfig{Limit: 1}).SetLimit(0) },
		} {
			panics(t, want, change)
		}
		if l.SetLimit(rate.Inf); !l.Allow() || !l.AllowN(time.Now(), 99) {
			t.Error("limited after a panic and the end of the limit")
		}
	})
}

func TestWaitPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 10, Burst: 3})
		start := time.Now()
		for i, want := range []time.Duration{0, 0, 0, 100, 200, 300} {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != want*time.Millisecond {
				t.Errorf("call %d at %v, want %v", i, got, want*time.Millisecond)
			}
		}
	})
}

func TestWaitersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 10})
		l.Allow()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if err := l.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			})
			synctest.Wait()
			if l.Allow() {
				t.Error("Allow jumped the queue")
			}
		}
		start := time.Now()
		wg.Wait()
		if !slices.IsSorted(order) || len(order) != 50 || time.Since(start) != 5*time.Second {
			t.Errorf("served %v in %v", order, time.Since(start))
		}
	})
}

// The waiters that stay must be served as if those that leave had never come.
func TestCancelledWaitersLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 10})
		l.Allow()
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 9 {
			ctx, cancel := context.WithCancelCause(t.Context())
			wg.Go(func() {
				err := l.Wait(ctx)
				if i%3 == 2 {
					if want := time.Duration(i/3+1) * 100 * time.Millisecond; err != nil || time.Since(start) != want {
						t.Errorf("waiter %d served after %v, %v; want %v", i, time.Since(start), err, want)
					}
				} else if !errors.Is(err, errLeft) || time.Since(start) != 50*time.Millisecond {
					t.Errorf("waiter %d left after %v with %v", i, time.Since(start), err)
				}
				cancel(nil)
			})
			synctest.Wait()
			if i%3 != 2 {
				time.AfterFunc(50*time.Millisecond, func() { cancel(errLeft) })
			}
		}
		wg.Wait()
		if l.line.waiting.Load() != 0 || l.line.timer != nil {
			t.Errorf("%d still wait, timer %v", l.line.waiting.Load(), l.line.timer)
		}
	})
}

var errLeft = errors.New("left")

func TestWaitFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 1})
		l.Allow()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		err := l.Wait(ctx)
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, ErrLimited) || !errors.Is(err, ErrDeadline) || !e.Rejected() || !e.Timeout() || e.RetryAfter() != time.Second {
			t.Errorf("error %#v", err)
		}
		if got, want := err.Error(), "ratelimit: no token before the deadline, try again in 1s"; got != want {
			t.Errorf("text %q, want %q", got, want)
		}
		// Behind another waiter it takes two seconds.
		var wg sync.WaitGroup
		wg.Go(func() { l.Wait(t.Context()) })
		synctest.Wait()
		ctx, cancel = context.WithTimeout(t.Context(), 1900*time.Millisecond)
		defer cancel()
		if err := l.Wait(ctx); !errors.Is(err, ErrDeadline) {
			t.Errorf("error %v behind another", err)
		}
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
		ctx, cancel = context.WithTimeout(t.Context(), 2001*time.Millisecond)
		defer cancel()
		if err := l.Wait(ctx); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		wg.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Hour)
		if err := l.Wait(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrLimited) {
			t.Errorf("error %v for a context that has ended", err)
		}
		if !l.Allow() {
			t.Error("a wait that failed took a token")
		}
	})
}

func TestNoLimit(t *testing.T) {
	for _, l := range []*Limiter{nil, New(Config{Rate: rate.Inf})} {
		for range 1000 {
			if !l.Allow() || l.Wait(t.Context()) != nil {
				t.Fatal("limited")
			}
		}
	}
}

func TestNothingToChange(t *testing.T) {
	for name, change := range map[string]func(int){
		"SetLimit":          func(n int) { (*Limiter)(nil).SetLimit(rate.Limit(n)) },
		"SetBurst":          (*Limiter)(nil).SetBurst,
		"Bulkhead.SetLimit": (*Bulkhead)(nil).SetLimit,
	} {
		func() {
			defer func() {
				if v, _ := recover().(string); !strings.HasPrefix(v, "ratelimit: a nil *") {
					t.Errorf("%s panicked with %q", name, v)
				}
			}()
			change(1)
		}()
	}
}

func TestSlowRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: rate.Every(24 * time.Hour), Burst: 2})
		start := time.Now()
		for range 4 {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(start); got != 48*time.Hour {
			t.Errorf("four calls, two of them at once, took %v", got)
		}
	})
}

func TestConfigErrors(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Rate: -1}, {Rate: rate.Limit(math.NaN())}, {Rate: 1, Burst: -1}, {Rate: 1e-300, Burst: math.MaxInt / 4}, {Rate: 0.5, Burst: math.MaxInt},
		// What whole nanoseconds cannot keep to 1 %.
		{Rate: 3e8}, {Rate: 6e8}, {Rate: 7e8}, {Rate: 1.2e9}, {Rate: 1e10}, {Rate: 1e300},
	} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "ratelimit: Config.") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	for _, cfg := range []Config{{Rate: 1e9, Burst: math.MaxInt / 8}, {Rate: rate.Inf}, {Rate: 5e8}, {Rate: 1e9 / 3}, {Rate: 1. / (10 * 365 * 86400)}} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	defer func() {
		if v, _ := recover().(string); !strings.HasPrefix(v, "ratelimit: Config.Rate") {
			t.Errorf("New panicked with %q", v)
		}
	}()
	New(Config{})
}

func TestDoesNotAllocate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, dry := New(Config{Rate: 1e9, Burst: 1 << 30}), New(Config{Rate: 1e-6})
	dry.Allow()
	for name, f := range map[string]func(){
		"allow": func() { l.Allow() },
		"deny":  func() { dry.Allow() },
		"wait":  func() { l.Wait(ctx) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Every rate that is valid is kept to 1 %.
func TestValidRatesAreKept(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 100_000 {
		limit := rate.Limit(math.Exp(r.Float64() * 24))
		kept := rate.Limit(time.Second) / rate.Limit(interval(limit))
		valid := Config{Rate: limit}.Validate() == nil
		if kept > limit*(1+1e-12) || valid && kept < limit*0.99 || !valid && (kept >= limit*0.99 || limit < 1e7) {
			t.Fatalf("%v is kept as %v, valid: %v", limit, kept, valid)
		}
	}
}

// A time from a message, or of a clock that was set, cannot shut others out.
func TestTimesAheadDoNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 100, Burst: 10})
		for _, at := range []time.Time{
			time.Now().Add(time.Hour), time.Now().Add(time.Hour).Round(0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		} {
			if !l.AllowN(at, 1) {
				t.Errorf("%v: refused", at)
			}
		}
		if n := l.Tokens(); n != 7 {
			t.Errorf("%v tokens, want 7", n)
		}
		if l.AllowN(time.Now().Add(time.Hour), 8) {
			t.Error("tokens were taken that are not there yet")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Millisecond)
		defer cancel()
		if err := l.WaitN(ctx, 8); err != nil {
			t.Errorf("%v, for one token that is missing", err)
		}
	})
}
