package retry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
)

// bothWays runs a test in bubbles, with the first attempt on a goroutine of its own
// and on the caller's.
func bothWays(t *testing.T, test func(t *testing.T, cfg retry.HedgeConfig)) {
	for name, inline := range map[string]bool{"detached": false, "inline": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, retry.HedgeConfig{Delay: 100 * time.Millisecond, Inline: inline})
			})
		})
	}
}

// after is an attempt that takes d, unless its context ends.
func after(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func number(ctx context.Context) int {
	if a, ok := retry.AttemptFrom(ctx); ok && a.Hedge {
		return a.Number
	}
	return 1
}

func TestHedge(t *testing.T) {
	type step struct {
		takes time.Duration
		err   error
	}
	const ms = time.Millisecond
	for _, tt := range []struct {
		name    string
		cfg     retry.HedgeConfig // Delay is 100 ms
		credit  int               // of a budget without a floor; 0: the default budget
		steps   []step
		begun   int
		won     int
		elapsed time.Duration
		err     error // nil: success
		cause   error
	}{
		{name: "fast", steps: []step{{takes: 99 * ms}}, begun: 1, won: 1, elapsed: 99 * ms},
		{name: "slow, hedge wins", steps: []step{{takes: 1000 * ms}, {takes: 10 * ms}}, begun: 2, won: 2, elapsed: 110 * ms},
		{name: "slow, first wins", steps: []step{{takes: 150 * ms}, {takes: 100 * ms}}, begun: 2, won: 1, elapsed: 150 * ms},
		{name: "two by default", steps: []step{{takes: 1000 * ms}, {takes: 2000 * ms}}, begun: 2, won: 1, elapsed: 1000 * ms},
		{name: "three", cfg: retry.HedgeConfig{Max: 3}, steps: []step{{takes: 1000 * ms}, {takes: 1000 * ms}, {takes: 1 * ms}}, begun: 3, won: 3, elapsed: 201 * ms},
		{name: "one is no hedge", cfg: retry.HedgeConfig{Max: 1}, steps: []step{{takes: 1000 * ms}}, begun: 1, won: 1, elapsed: 1000 * ms},

		{name: "a failure begins the next at once", steps: []step{{takes: 10 * ms, err: errOp}, {takes: 10 * ms}}, begun: 2, won: 2, elapsed: 20 * ms},
		{name: "a hedge's failure begins the next at once", cfg: retry.HedgeConfig{Max: 3}, steps: []step{{takes: 1000 * ms}, {takes: 10 * ms, err: errOp}, {takes: 10 * ms}}, begun: 3, won: 3, elapsed: 120 * ms},
		{name: "a failure is not the end while another runs", steps: []step{{takes: 150 * ms}, {takes: 10 * ms, err: errOp}}, begun: 2, won: 1, elapsed: 150 * ms},
		{name: "all fail", steps: []step{{takes: 10 * ms, err: errOp}, {takes: 10 * ms, err: errOther}}, begun: 2, won: 2, elapsed: 20 * ms, err: errOther, cause: retry.ErrExhausted},
		{name: "a final failure decides", steps: []step{{takes: 1000 * ms}, {takes: 10 * ms, err: retry.Permanent(errOp)}}, begun: 2, won: 2, elapsed: 110 * ms, err: errOp},
		{name: "a final failure at first", steps: []step{{takes: 10 * ms, err: retry.Permanent(errOp)}}, begun: 1, won: 1, elapsed: 10 * ms, err: errOp},
		{name: "what asks to wait is not begun again", steps: []step{{takes: 10 * ms, err: fault{after: time.Second}}}, begun: 1, won: 1, elapsed: 10 * ms, err: fault{after: time.Second}},
		{name: "a refusal costs nothing", credit: -1, steps: []step{{err: free}, {takes: 10 * ms}}, begun: 2, won: 2, elapsed: 10 * ms},
		{name: "a final refusal at first", steps: []step{{err: open}}, begun: 1, won: 1, err: open},
		{name: "a refused hedge does not end what runs", steps: []step{{takes: 500 * ms}, {takes: 10 * ms, err: open}}, begun: 2, won: 1, elapsed: 500 * ms},
		{name: "a refused hedge does not replace a failure", steps: []step{{takes: 500 * ms, err: errOp}, {takes: 10 * ms, err: open}}, begun: 2, won: 1, elapsed: 500 * ms, err: errOp, cause: open},
		{name: "a refusal after a failure does not replace it", steps: []step{{takes: 10 * ms, err: errOp}, {err: open}}, begun: 2, won: 1, elapsed: 10 * ms, err: errOp, cause: open},

		{name: "without budget no hedge, and the first goes on", credit: -1, steps: []step{{takes: 1000 * ms}}, begun: 1, won: 1, elapsed: 1000 * ms},
		{name: "an empty budget ends no hedge", cfg: retry.HedgeConfig{Max: 3}, credit: 1, steps: []step{{takes: 1000 * ms}, {takes: 500 * ms}}, begun: 2, won: 2, elapsed: 600 * ms},
		{name: "without budget a failure is final", credit: -1, steps: []step{{takes: 10 * ms, err: errOp}}, begun: 1, won: 1, elapsed: 10 * ms, err: errOp, cause: retry.ErrBudget},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, cfg retry.HedgeConfig) {
				cfg.Max = tt.cfg.Max
				if tt.credit != 0 {
					cfg.Budget = retry.NewBudget(retry.BudgetConfig{Credit: tt.credit, Floor: -1})
				}
				h := retry.NewHedger(cfg)
				var begun, discarded atomic.Int32
				start := time.Now()
				v, err := retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
					n := int(begun.Add(1))
					if n != number(ctx) || n > len(tt.steps) {
						t.Errorf("attempt %d has number %d", n, number(ctx))
						return 0, retry.Permanent(errOp)
					}
					s := tt.steps[n-1]
					if err := after(ctx, s.takes); err != nil {
						return 0, err
					}
					return n, s.err
				}, func(int) { discarded.Add(1) })
				if d := time.Since(start); d != tt.elapsed {
					t.Errorf("took %v, want %v", d, tt.elapsed)
				}
				if int(begun.Load()) != tt.begun || v != tt.won {
					t.Errorf("%d attempts, value %d; want %d, %d", begun.Load(), v, tt.begun, tt.won)
				}
				if !errors.Is(err, tt.err) || tt.cause != nil && !errors.Is(err, tt.cause) {
					t.Errorf("error %v, want %v and %v", err, tt.err, tt.cause)
				}
				if e, typed := err.(*retry.Error); tt.err != nil && (typed != (tt.begun > 1 || tt.cause != nil) || typed && e.Elapsed != tt.elapsed) {
					t.Errorf("error is %#v", err)
				}
				if s := h.Stats(); int(s.Hedges) != tt.begun-1 || s.Delay != 100*ms || (s.Wins > 0) != (err == nil && v > 1) {
					t.Errorf("Stats %+v", s)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if discarded.Load() != 0 { // all losers honour their contexts
					t.Errorf("%d values discarded", discarded.Load())
				}
			})
		})
	}
}

// A loser that ignores its context is not waited for, and its value is not lost.
func TestHedgeWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := retry.NewHedger(retry.HedgeConfig{Delay: 100 * time.Millisecond})
		var discarded []string
		start := time.Now()
		v, err := retry.Hedge(t.Context(), h, func(ctx context.Context) (string, error) {
			if number(ctx) == 1 {
				time.Sleep(time.Hour)
				if ctx.Err() != context.Canceled {
					t.Error("the loser's context has not ended")
				}
				return "late", nil
			}
			return "early", nil
		}, func(s string) { discarded = append(discarded, s) })
		if v != "early" || err != nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("%q, %v after %v", v, err, time.Since(start))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if !slices.Equal(discarded, []string{"late"}) {
			t.Errorf("discarded %q", discarded)
		}
	})
}

func TestHedgeCallerLeaves(t *testing.T) {
	errGone := errors.New("gone")
	synctest.Test(t, func(t *testing.T) {
		h := retry.NewHedger(retry.HedgeConfig{Delay: 100 * time.Millisecond, Max: 3})
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errGone) })
		var discarded atomic.Int32
		start := time.Now()
		_, err := retry.Hedge(ctx, h, func(ctx context.Context) (int, error) {
			if number(ctx) == 2 {
				return 0, errOp
			}
			time.Sleep(time.Hour)
			return 1, nil
		}, func(int) { discarded.Add(1) })
		if !errors.Is(err, errGone) || !errors.Is(err, errOp) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		time.Sleep(2 * time.Hour)
		if discarded.Load() != 2 {
			t.Errorf("%d values discarded, want 2", discarded.Load())
		}
		if _, err := retry.Hedge(ctx, h, func(context.Context) (int, error) {
			t.Error("the operation was called after its context's end")
			return 0, nil
		}, nil); err != errGone {
			t.Errorf("error %v", err)
		}
	})
}

func TestHedgePanicAndGoexitReachTheCaller(t *testing.T) {
	for _, who := range []int{1, 2} {
		for name, end := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
			t.Run(fmt.Sprint(name, " in attempt ", who), func(t *testing.T) {
				bothWays(t, func(t *testing.T, cfg retry.HedgeConfig) {
					var got any
					returned := false
					start := time.Now()
					var wg sync.WaitGroup
					wg.Go(func() {
						defer func() { got = recover() }()
						retry.Hedge(t.Context(), retry.NewHedger(cfg), func(ctx context.Context) (int, error) {
							if number(ctx) == who {
								time.Sleep(time.Duration(3-who) * 100 * time.Millisecond)
								end()
							}
							return 0, after(ctx, time.Hour)
						}, nil)
						returned = true
					})
					wg.Wait()
					if returned || name == "panic" && got != "boom" || name == "Goexit" && got != nil {
						t.Errorf("returned %v, recovered %v", returned, got)
					}
					if d := time.Since(start); d != 200*time.Millisecond {
						t.Errorf("after %v", d)
					}
				})
			})
		}
	}
}

// What an operation derives from its context ends with the race, whether it asked
// for Done before or not.
func TestHedgeContexts(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg retry.HedgeConfig) {
		type key struct{}
		parent := context.WithValue(t.Context(), key{}, "value")
		var kept []context.Context
		var mu sync.Mutex
		retry.Hedge(parent, retry.NewHedger(cfg), func(ctx context.Context) (int, error) {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			mu.Lock()
			kept = append(kept, ctx)
			mu.Unlock()
			if ctx.Value(key{}) != "value" || child.Value(key{}) != "value" || ctx.Err() != nil {
				t.Error("the context is not the caller's")
			}
			if number(ctx) == 2 {
				return 0, nil
			}
			<-child.Done()
			if ctx.Err() != context.Canceled || child.Err() != context.Canceled || context.Cause(child) == context.Canceled {
				t.Errorf("the loser's context ended with %v, its child with %v, cause %v", ctx.Err(), child.Err(), context.Cause(child))
			}
			return 0, child.Err()
		}, nil)
		synctest.Wait()
		for _, ctx := range kept {
			if ctx.Err() == nil {
				t.Error("a context lives on")
			}
		}
		var idle context.Context
		retry.Hedge(parent, retry.NewHedger(cfg), func(ctx context.Context) (int, error) { idle = ctx; return 0, nil }, nil)
		if idle.Err() != context.Canceled {
			t.Error("the winner's context lives on")
		}
		<-idle.Done()
	})
}

// Each value is returned or discarded, and exactly once.
func TestHedgeLosesNoValue(t *testing.T) {
	for seed := range uint64(20) {
		bothWays(t, func(t *testing.T, cfg retry.HedgeConfig) {
			r := rand.New(rand.NewPCG(seed, 0))
			cfg.Max, cfg.Budget = 1+r.IntN(4), retry.NoBudget
			h := retry.NewHedger(cfg)
			var made, discarded atomic.Int32
			returned := 0
			for range 50 {
				takes := make([]time.Duration, 5)
				for i := range takes {
					takes[i] = time.Duration(r.IntN(5)) * 50 * time.Millisecond
				}
				fails, deaf := r.IntN(6), r.IntN(2) == 0
				_, err := retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
					n := number(ctx)
					if deaf {
						time.Sleep(takes[n-1])
					} else if err := after(ctx, takes[n-1]); err != nil {
						return 0, err
					}
					if n == fails {
						return 0, errOp
					}
					made.Add(1)
					return n, nil
				}, func(int) { discarded.Add(1) })
				if err == nil {
					returned++
				}
			}
			time.Sleep(time.Hour)
			if int(made.Load()) != returned+int(discarded.Load()) {
				t.Errorf("seed %d: %d values made, %d returned, %d discarded", seed, made.Load(), returned, discarded.Load())
			}
		})
	}
}

func TestHedgeQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := retry.NewHedger(retry.HedgeConfig{Quantile: 0.9})
		run := func(n int, unit time.Duration) {
			for i := range n {
				d := time.Duration(1+i%100) * unit
				if _, err := retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) { return 0, after(ctx, d) }, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		run(60, time.Millisecond)
		if s := h.Stats(); s.Delay != 0 || s.Hedges != 0 {
			t.Errorf("Stats %+v, when little is known", s)
		}
		run(1000, time.Millisecond)
		if d := h.Stats().Delay; d < 84*time.Millisecond || d > 97*time.Millisecond {
			t.Errorf("hedges after %v, want about 90ms", d)
		}
		// Later calls take ten times as long. The hedges that this causes are no
		// faster, so that the true times show.
		run(10_000, 10*time.Millisecond)
		if d := h.Stats().Delay; d < 840*time.Millisecond || d > 970*time.Millisecond {
			t.Errorf("hedges after %v, want about 900ms", d)
		}
		run(10_000, time.Millisecond)
		if d := h.Stats().Delay; d < 84*time.Millisecond || d > 97*time.Millisecond {
			t.Errorf("hedges after %v again, want about 90ms", d)
		}
	})
}

func TestHedgeSharesTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(retry.BudgetConfig{Credit: 1, Floor: -1})
		h := retry.NewHedger(retry.HedgeConfig{Delay: time.Second, Budget: b})
		p := retry.New(retry.Config{Budget: b, Schedule: retry.Constant(0)})
		retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) { return 0, after(ctx, 1500*time.Millisecond) }, nil)
		if s := b.Stats(); s.Granted != 1 || s.Balance < 0.09 || s.Balance > 0.11 {
			t.Errorf("after a hedge and a success: %+v", s)
		}
		if err := retry.Run(t.Context(), p, func(context.Context) error { return errOp }); !errors.Is(err, retry.ErrBudget) {
			t.Errorf("error %v", err)
		}
	})
}

func TestHedgeObserve(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg retry.HedgeConfig) {
		var got []string
		var mu sync.Mutex
		cfg.Max, cfg.Budget = 3, retry.NewBudget(retry.BudgetConfig{Credit: 1, Floor: -1})
		cfg.Observe = func(ctx context.Context, e retry.Event) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(e.Kind, " ", e.Attempt, " ", e.Elapsed))
		}
		retry.Hedge(t.Context(), retry.NewHedger(cfg), func(ctx context.Context) (int, error) { return 0, after(ctx, 250*time.Millisecond) }, nil)
		if s := strings.Join(got, ", "); s != "hedging 2 100ms, refused 0 200ms, succeeded 1 250ms" {
			t.Error(s)
		}
	})
}

func TestHedgeIdleAllocations(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := retry.NewHedger(retry.HedgeConfig{Delay: time.Hour, Inline: true})
	op := func(context.Context) (int, error) { return 1, nil }
	if n := testing.AllocsPerRun(1000, func() { retry.Hedge(ctx, h, op, nil) }); n > 3 {
		t.Errorf("%v allocations, want the race, its timer and no more", n)
	}
}

func TestHedgeConfigErrors(t *testing.T) {
	for _, cfg := range []retry.HedgeConfig{{Delay: -1}, {Quantile: 1}, {Quantile: -0.5}, {Max: -1}} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "retry: HedgeConfig.") {
			t.Errorf("%+v: error %v", cfg, err)
		}
	}
}

// slow is a context whose Value takes a second from the first hedge on.
type slow struct {
	context.Context
	start time.Time
}

func (s *slow) Value(key any) any {
	if time.Since(s.start) == 100*time.Millisecond {
		time.Sleep(time.Second)
	}
	return s.Context.Value(key)
}

// A hedge that was paid for and comes too late to begin is given back.
func TestHedgeThatDoesNotBeginIsGivenBack(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg retry.HedgeConfig) {
		cfg.Budget = retry.NewBudget(retry.BudgetConfig{Credit: 3, Ratio: -1, Floor: -1})
		begun := 0
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := retry.Hedge(&slow{ctx, time.Now()}, retry.NewHedger(cfg), func(context.Context) (int, error) {
			begun++
			time.Sleep(500 * time.Millisecond)
			return 0, nil
		}, nil)
		time.Sleep(time.Hour)
		if s := cfg.Budget.Stats(); err != nil || begun != 1 || s.Balance != 3 || s.Granted != 0 {
			t.Errorf("error %v, %d attempts, %+v", err, begun, s)
		}
	})
}
