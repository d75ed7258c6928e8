package retry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
)

func TestAttempts(t *testing.T) {
	errGone := errors.New("gone")
	for _, tt := range []struct {
		name   string
		script []error // one for each iteration; nil, or the end, is success
		brk    int     // break in this iteration
		seen   string
		err    error
		cause  error
	}{
		{name: "success", seen: "[0]"},
		{name: "second attempt", script: []error{errOp}, seen: "[0 2]"},
		{name: "exhausted", script: []error{errOp, errOp, errOther}, seen: "[0 2 3]", err: errOther, cause: retry.ErrExhausted},
		{name: "permanent", script: []error{retry.Permanent(errOp)}, seen: "[0]", err: errOp},
		{name: "break", script: []error{errOp, errOther}, brk: 2, seen: "[0 2]", err: errOther},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen, err := []int{}, errGone // which is not an outcome
				for ctx := range retry.Attempts(t.Context(), everySecond(retry.Config{}), &err) {
					if err != nil {
						t.Errorf("an iteration begins with %v", err)
					}
					a, _ := retry.AttemptFrom(ctx)
					seen = append(seen, a.Number)
					if len(seen) <= len(tt.script) {
						err = tt.script[len(seen)-1]
					}
					if len(seen) == tt.brk {
						break
					}
				}
				if fmt.Sprint(seen) != tt.seen || !errors.Is(err, tt.err) || tt.cause != nil && !errors.Is(err, tt.cause) {
					t.Errorf("attempts %v, error %v; want %v, %v, %v", seen, err, tt.seen, tt.err, tt.cause)
				}
				if _, typed := err.(*retry.Error); typed != (tt.cause != nil) {
					t.Errorf("error is %T", err)
				}
			})
		})
	}
	t.Run("ended context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		var err error
		for range retry.Attempts(ctx, retry.New(retry.Config{}), &err) {
			t.Error("an iteration")
		}
		if err != errGone {
			t.Errorf("error %v", err)
		}
	})
}

// verbs are the ways to run an operation.
var verbs = map[string]func(context.Context, *retry.Policy, func(context.Context) error) error{
	"Run": retry.Run,
	"Attempts": func(ctx context.Context, p *retry.Policy, op func(context.Context) error) (err error) {
		for ctx := range retry.Attempts(ctx, p, &err) {
			err = op(ctx)
		}
		return err
	},
}

func inBubbles(t *testing.T, test func(*testing.T, func(context.Context, *retry.Policy, func(context.Context) error) error)) {
	for name, run := range verbs {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, run) })
		})
	}
}

// Each attempt has its own time; the caller's deadline still counts.
func TestAttemptTimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, run func(context.Context, *retry.Policy, func(context.Context) error) error) {
		p := everySecond(retry.Config{AttemptTimeout: 100 * time.Millisecond})
		var kept []context.Context
		start := time.Now()
		err := run(t.Context(), p, func(ctx context.Context) error {
			kept = append(kept, ctx)
			if len(kept) == 3 {
				return nil
			}
			<-ctx.Done()
			if context.Cause(ctx) != retry.ErrAttemptTimeout || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
			return ctx.Err()
		})
		if d := time.Since(start); err != nil || len(kept) != 3 || d != 2200*time.Millisecond {
			t.Errorf("%v after %d attempts and %v", err, len(kept), d)
		}
		if kept[2].Err() == nil {
			t.Error("the last attempt's context lives on")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		attempts := 0
		err = run(ctx, p, func(ctx context.Context) error { attempts++; <-ctx.Done(); return context.Cause(ctx) })
		if attempts != 1 || err != context.DeadlineExceeded {
			t.Errorf("%d attempts, error %v; want the caller's deadline", attempts, err)
		}
	})
}

func TestMaxElapsed(t *testing.T) {
	inBubbles(t, func(t *testing.T, run func(context.Context, *retry.Policy, func(context.Context) error) error) {
		p := everySecond(retry.Config{MaxAttempts: 10, MaxElapsed: 5500 * time.Millisecond})
		attempts := 0
		start := time.Now()
		err := run(t.Context(), p, func(context.Context) error {
			attempts++
			time.Sleep(time.Second)
			return errOp
		})
		// They begin at 0, 2 and 4 s; one at 6 s is too late, and so it is known at 5 s.
		if attempts != 3 || !errors.Is(err, retry.ErrMaxElapsed) || !errors.Is(err, errOp) || time.Since(start) != 5*time.Second {
			t.Errorf("%d attempts, %v after %v", attempts, err, time.Since(start))
		}
	})
}

func TestObserve(t *testing.T) {
	inBubbles(t, func(t *testing.T, run func(context.Context, *retry.Policy, func(context.Context) error) error) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, 1)
		var got []string
		cfg := retry.Config{Observe: func(ctx context.Context, e retry.Event) {
			if ctx.Value(key{}) != 1 {
				t.Error("not the caller's context")
			}
			if _, ok := retry.AttemptFrom(ctx); ok {
				t.Error("an attempt's context")
			}
			got = append(got, fmt.Sprint(e.Kind, " ", e.Attempt, " ", e.Elapsed, " ", e.Delay, " ", e.Err != nil, " ", e.Cause != nil))
		}}
		n := 0
		op := func(context.Context) error {
			time.Sleep(100 * time.Millisecond)
			if n++; n%4 == 0 {
				return nil
			}
			return errOp
		}
		p := everySecond(cfg)
		run(ctx, p, op) // fails
		run(ctx, p, op) // succeeds
		ended, cancel := context.WithCancel(ctx)
		time.AfterFunc(500*time.Millisecond, cancel)
		run(ended, p, op) // is cancelled in the wait
		want := []string{
			"retrying 1 100ms 1s true false", "retrying 2 1.2s 1s true false", "gave up 3 2.3s 0s true true",
			"succeeded 1 100ms 0s false false",
			"retrying 1 100ms 1s true false", "gave up 1 500ms 0s true true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A retry that is paid for and not made is given back.
func TestBudgetIsGivenBackWhenTheContextEndsInTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(retry.BudgetConfig{Credit: 3, Floor: -1})
		p := everySecond(retry.Config{Budget: b})
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			retry.Run(ctx, p, func(context.Context) error { return errOp })
		}
		if s := b.Stats(); s.Balance != 3 || s.Granted != 0 || s.Refused != 0 {
			t.Errorf("Stats %+v", s)
		}
	})
}

func TestBudgetPerRequest(t *testing.T) {
	b := retry.NewBudget(retry.BudgetConfig{PerRequest: true, Ratio: 0.25, Credit: 1, Floor: -1})
	p := retry.New(retry.Config{Budget: b, Schedule: retry.Constant(0)})
	attempts, rejected := 0, false
	op := func(context.Context) error {
		attempts++
		if rejected {
			return free
		}
		return errOp
	}
	for range 41 {
		retry.Run(t.Context(), p, op)
	}
	if retries := attempts - 41; retries != 1+10 && retries != 1+9 { // the account is full at first
		t.Errorf("%d retries in 41 calls", retries)
	}
	b = retry.NewBudget(retry.BudgetConfig{PerRequest: true, Ratio: 0.25, Floor: -1})
	p = retry.New(retry.Config{Budget: b, Schedule: retry.Constant(0)})
	calls := 0
	retry.Run(t.Context(), p, func(context.Context) error {
		if calls++; calls < 3 {
			return errOp
		}
		return nil
	})
	if have := b.Stats().Balance; have != 8 { // the deposit came when the account was full
		t.Errorf("%v left after two retries, want 8", have)
	}
	before := b.Stats().Balance
	rejected = true
	for range 40 {
		retry.Run(t.Context(), p, op)
	}
	if after := b.Stats().Balance; after != before {
		t.Errorf("rejections move the balance from %v to %v", before, after)
	}
}

func TestZeroDelayRetryAllocatesOnlyAContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := retry.New(retry.Config{Schedule: retry.Constant(0), Budget: retry.NoBudget})
	calls := 0
	op := func(context.Context) (int, error) {
		if calls++; calls%2 == 1 {
			return 0, errOp
		}
		return 1, nil
	}
	if n := testing.AllocsPerRun(1000, func() { retry.Do(ctx, p, op) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// However many delays there are, there is one timer.
func TestDelaysShareATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allocs := func(attempts int) float64 {
			p := retry.New(retry.Config{MaxAttempts: attempts, Schedule: retry.Constant(time.Millisecond), Budget: retry.NoBudget})
			calls := 0
			op := func(context.Context) (int, error) {
				if calls++; calls%attempts != 0 {
					return 0, errOp
				}
				return 1, nil
			}
			return testing.AllocsPerRun(100, func() { retry.Do(t.Context(), p, op) })
		}
		// Each attempt has a context, and the list of earlier errors grows four times.
		if two, ten := allocs(2), allocs(10); ten > two+8+4 {
			t.Errorf("%v allocations in two attempts, %v in ten", two, ten)
		}
	})
}

// Contexts that an operation keeps stay what they were.
func TestAttemptsContextsAreNotUsedAgain(t *testing.T) {
	p := retry.New(retry.Config{Schedule: retry.Constant(0), Budget: retry.NoBudget, MaxAttempts: 3})
	type key struct{}
	kept := map[int][]context.Context{}
	for i := range 100 {
		ctx := context.WithValue(t.Context(), key{}, i)
		retry.Run(ctx, p, func(ctx context.Context) error { kept[i] = append(kept[i], ctx); return errOp })
	}
	for i, contexts := range kept {
		for n, ctx := range contexts {
			if a, ok := retry.AttemptFrom(ctx); ctx.Value(key{}) != i || ok != (n > 0) || ok && a.Number != n+1 {
				t.Fatalf("call %d, attempt %d: value %v, attempt %+v", i, n+1, ctx.Value(key{}), a)
			}
		}
	}
}
