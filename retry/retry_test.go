package retry_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
	"github.com/cenkalti/backoff/v4"
)

var (
	errOp    = errors.New("operation failed")
	errOther = errors.New("other failure")
)

// fault is an error with a hint.
type fault struct{ after time.Duration }

func (f fault) Error() string             { return "fault" }
func (f fault) RetryAfter() time.Duration { return f.after }

// refusal is an error of a layer that sends nothing. again says that the next attempt
// would differ.
type refusal struct {
	again bool
	after time.Duration
}

func (r refusal) Error() string             { return "refused" }
func (r refusal) Rejected() bool            { return true }
func (r refusal) Retryable() bool           { return r.again }
func (r refusal) RetryAfter() time.Duration { return r.after }

// open and free are refusals as an open breaker's, and a balancer's that has another
// endpoint; limited is a rate limiter's that knows when.
var (
	open    = refusal{after: 5 * time.Second}
	free    = refusal{again: true}
	limited = refusal{again: true, after: 3 * time.Second}
)

// hintless has the method, has no hint, and hides one.
type hintless struct{ error }

func (hintless) RetryAfter() time.Duration { return 0 }
func (h hintless) Unwrap() error           { return h.error }

// rejection is a refusal that says nothing else.
type rejection struct{}

func (rejection) Error() string  { return "rejected" }
func (rejection) Rejected() bool { return true }

type status int

func (s status) Error() string       { return fmt.Sprint("status ", int(s)) }
func (s status) HTTPStatusCode() int { return int(s) }

type retryable bool

func (r retryable) Error() string   { return fmt.Sprint("retryable ", bool(r)) }
func (r retryable) Retryable() bool { return bool(r) }

// everySecond is a policy whose delays are plain to read in a table.
func everySecond(cfg retry.Config) *retry.Policy {
	cfg.Schedule = retry.Constant(time.Second)
	return retry.New(cfg)
}

// TestDo runs one call against a script of errors; nil, or the script's end, is
// success.
func TestDo(t *testing.T) {
	stopOther := func(_ context.Context, err error) retry.Decision {
		if errors.Is(err, errOther) {
			return retry.Stop
		}
		return retry.Default
	}
	retryAll := func(context.Context, error) retry.Decision { return retry.Retry }
	for _, tt := range []struct {
		name      string
		cfg       retry.Config
		script    []error
		attempts  int
		sent      int           // 0: all of them
		elapsed   time.Duration // at most a fifth more, where a server asked to wait
		last      error         // nil: success
		cause     error         // why no attempt followed the last
		unchanged bool          // the error is last itself, not an *Error
	}{
		{name: "success", attempts: 1},
		{name: "second attempt", script: []error{errOp}, attempts: 2, elapsed: time.Second},
		{name: "third attempt", script: []error{errOp, errOp}, attempts: 3, elapsed: 2 * time.Second},
		{name: "exhausted", script: []error{errOp, errOp, errOther}, attempts: 3, elapsed: 2 * time.Second, cause: retry.ErrExhausted, last: errOther},
		{name: "one attempt only", cfg: retry.Config{MaxAttempts: 1}, script: []error{errOp}, attempts: 1, last: errOp, unchanged: true},

		{name: "permanent", script: []error{retry.Permanent(errOp)}, attempts: 1, last: errOp, unchanged: true},
		{name: "permanent, wrapped", script: []error{fmt.Errorf("x: %w", retry.Permanent(errOp))}, attempts: 1, last: errOp, unchanged: true},
		{name: "backoff's permanent", script: []error{backoff.Permanent(errOp)}, attempts: 1, last: errOp, unchanged: true},
		{name: "after", script: []error{retry.After(3*time.Second, errOp)}, attempts: 2, elapsed: 3 * time.Second},
		{name: "after is the least delay", script: []error{retry.After(time.Millisecond, errOp)}, attempts: 2, elapsed: time.Second},
		{name: "classify stops", cfg: retry.Config{Classify: stopOther}, script: []error{errOther}, attempts: 1, last: errOther, unchanged: true},
		{name: "classify leaves it open", cfg: retry.Config{Classify: stopOther}, script: []error{errOp}, attempts: 2, elapsed: time.Second},
		{name: "classify before methods", cfg: retry.Config{Classify: retryAll}, script: []error{retryable(false)}, attempts: 2, elapsed: time.Second},
		{name: "permanent before classify", cfg: retry.Config{Classify: retryAll}, script: []error{retry.Permanent(errOp)}, attempts: 1, last: errOp, unchanged: true},

		{name: "not retryable", script: []error{retryable(false)}, attempts: 1, last: retryable(false), unchanged: true},
		{name: "retryable", script: []error{errors.Join(status(404), retryable(true))}, attempts: 2, elapsed: time.Second},
		{name: "retry after", script: []error{fault{after: 4 * time.Second}}, attempts: 2, elapsed: 4 * time.Second},
		{name: "retry after below an error without a hint", script: []error{errors.Join(errOp, fmt.Errorf("%w", hintless{fault{after: 4 * time.Second}}))}, attempts: 2, elapsed: 4 * time.Second},
		{name: "retry after too long", script: []error{fault{after: time.Minute}}, attempts: 1, cause: retry.ErrRetryAfter, last: fault{after: time.Minute}},
		{name: "retry after ignored", cfg: retry.Config{MaxRetryAfter: -1}, script: []error{fault{after: time.Minute}}, attempts: 2, elapsed: time.Second},
		{name: "status 503", script: []error{status(503)}, attempts: 2, elapsed: time.Second},
		{name: "status 500", script: []error{status(500)}, attempts: 1, last: status(500), unchanged: true},
		{name: "status 404 second", script: []error{errOp, status(404)}, attempts: 2, elapsed: time.Second, last: status(404)},

		{name: "an open breaker is final", script: []error{open}, attempts: 1, last: open, unchanged: true},
		{name: "a refusal without a word is final", script: []error{rejection{}}, attempts: 1, last: rejection{}, unchanged: true},
		{name: "a refusal that another attempt may escape", script: []error{free, free}, attempts: 3},
		{name: "a refusal that another attempt may escape, after a time", script: []error{limited, limited}, attempts: 3, elapsed: 6 * time.Second},
		{name: "a refusal that asks for too long", script: []error{refusal{again: true, after: time.Minute}}, attempts: 1, last: refusal{again: true, after: time.Minute}, unchanged: true},
		{name: "refusals only", script: []error{free, free, free}, attempts: 3, last: free, unchanged: true},
		{name: "refusals only, then a final one", script: []error{free, open}, attempts: 2, last: open, unchanged: true},
		{name: "classify retries a refusal", cfg: retry.Config{Classify: retryAll}, script: []error{rejection{}}, attempts: 2, elapsed: time.Second},
		{name: "a refusal does not replace a failure", script: []error{errOp, open}, attempts: 2, sent: 1, elapsed: time.Second, last: errOp, cause: open},
		{name: "nor do refusals until the end", script: []error{errOp, free, free}, attempts: 3, sent: 1, elapsed: time.Second, last: errOp, cause: free},
		{name: "a failure after a refusal is a failure", script: []error{errOp, free, errOther}, attempts: 3, sent: 2, elapsed: time.Second, last: errOther, cause: retry.ErrExhausted},

		{name: "no budget", cfg: retry.Config{Budget: retry.NewBudget(retry.BudgetConfig{Credit: -1, Floor: -1})}, script: []error{errOp}, attempts: 1, cause: retry.ErrBudget, last: errOp},
		{name: "refusals are free", cfg: retry.Config{Budget: retry.NewBudget(retry.BudgetConfig{Credit: -1, Floor: -1})}, script: []error{free, limited}, attempts: 3, elapsed: 3 * time.Second},
		{name: "NoBudget", cfg: retry.Config{Budget: retry.NoBudget, MaxAttempts: 50}, script: make50(errOp), attempts: 50, elapsed: 49 * time.Second, cause: retry.ErrExhausted, last: errOp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := everySecond(tt.cfg)
				start := time.Now()
				attempts := 0
				v, err := retry.Do(t.Context(), p, func(context.Context) (int, error) {
					attempts++
					if attempts <= len(tt.script) {
						return attempts, tt.script[attempts-1]
					}
					return attempts, nil
				})
				elapsed := time.Since(start)
				if attempts != tt.attempts || v != attempts {
					t.Errorf("%d attempts, value %d; want %d", attempts, v, tt.attempts)
				}
				if elapsed < tt.elapsed || elapsed > tt.elapsed*6/5 {
					t.Errorf("took %v, want %v", elapsed, tt.elapsed)
				}
				if tt.last == nil {
					if err != nil {
						t.Errorf("error %v, want none", err)
					}
					return
				}
				if !errors.Is(err, tt.last) {
					t.Errorf("error %v, want %v in it", err, tt.last)
				}
				e, typed := err.(*retry.Error)
				if typed == tt.unchanged {
					t.Fatalf("error is %T", err)
				}
				if typed && (e.Attempts != cmp.Or(tt.sent, attempts) || !errors.Is(e.Cause, tt.cause) || e.Elapsed != elapsed) {
					t.Errorf("error is %+v, want %d attempts, cause %v, elapsed %v", e, attempts, tt.cause, elapsed)
				}
				if typed && tt.cause != nil && !errors.Is(err, tt.cause) {
					t.Errorf("cause %v is not found in %v", tt.cause, err)
				}
			})
		})
	}
}

func make50(err error) []error {
	s := make([]error, 50)
	for i := range s {
		s[i] = err
	}
	return s
}

func TestUnchangedError(t *testing.T) {
	p := retry.New(retry.Config{})
	for _, err := range []error{retry.Permanent(errOp), errOp} {
		got := retry.Run(t.Context(), retry.New(retry.Config{MaxAttempts: 1}), func(context.Context) error { return err })
		if got != errOp {
			t.Errorf("error %#v, want the operation's own", got)
		}
	}
	if err := retry.Run(t.Context(), p, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	if retry.Permanent(nil) != nil || retry.After(1, nil) != nil {
		t.Error("a mark on nil is not nil")
	}
}

func TestStopsBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retry.New(retry.Config{Schedule: retry.Constant(10 * time.Second)})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := retry.Run(ctx, p, func(context.Context) error { return errOp })
		if !errors.Is(err, errOp) || !errors.Is(err, retry.ErrDeadline) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v with %v", err, errOp, retry.ErrDeadline)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("slept %v", d)
		}
		// No time at all is too little too.
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := retry.Run(ctx, p, func(context.Context) error { return errOp }); !errors.Is(err, retry.ErrDeadline) {
			t.Errorf("error %v", err)
		}
	})
}

func TestContextEnds(t *testing.T) {
	errCause := errors.New("user went away")
	t.Run("before the first attempt", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		err := retry.Run(ctx, retry.New(retry.Config{}), func(context.Context) error {
			t.Error("the operation was called")
			return nil
		})
		if err != errCause {
			t.Errorf("error %v, want %v", err, errCause)
		}
	})
	t.Run("in an attempt", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		attempts := 0
		err := retry.Run(ctx, retry.New(retry.Config{}), func(context.Context) error {
			attempts++
			cancel(errCause)
			return errOp
		})
		if attempts != 1 || err != errOp {
			t.Errorf("%d attempts, error %v; want 1, %v", attempts, err, errOp)
		}
	})
	t.Run("in a delay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errCause) })
			start := time.Now()
			p := retry.New(retry.Config{Schedule: retry.Constant(time.Hour)})
			err := retry.Run(ctx, p, func(context.Context) error { return errOp })
			if !errors.Is(err, errOp) || !errors.Is(err, errCause) {
				t.Errorf("error %v, want both %v and %v", err, errOp, errCause)
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("returned after %v, want at once", d)
			}
		})
	})
}

func TestFirstAttemptGetsTheCallersContext(t *testing.T) {
	p := retry.New(retry.Config{Schedule: retry.Constant(0)})
	var seen []int
	err := retry.Run(t.Context(), p, func(ctx context.Context) error {
		a, ok := retry.AttemptFrom(ctx)
		if len(seen) == 0 && (ok || ctx != t.Context()) {
			t.Error("the first attempt's context is not the caller's")
		}
		seen = append(seen, a.Number)
		return errOp
	})
	if fmt.Sprint(seen) != "[0 2 3]" || err == nil {
		t.Errorf("attempts %v, error %v", seen, err)
	}
}

func TestNestedRetriesDoNotMultiply(t *testing.T) {
	for name, wrap := range map[string]func(error) error{
		"plain":  func(err error) error { return err },
		"marked": func(err error) error { return fmt.Errorf("op: %w", retry.After(0, err)) },
	} {
		t.Run(name, func(t *testing.T) {
			outer := retry.New(retry.Config{Schedule: retry.Constant(0)})
			inner := retry.New(retry.Config{Schedule: retry.Constant(0)})
			calls := 0
			err := retry.Run(t.Context(), outer, func(ctx context.Context) error {
				return retry.Run(ctx, inner, func(context.Context) error {
					calls++
					return wrap(errOp)
				})
			})
			if calls != 3 || !errors.Is(err, errOp) {
				t.Errorf("%d calls, error %v; want 3", calls, err)
			}
		})
	}
	t.Run("below a second attempt", func(t *testing.T) {
		p := retry.New(retry.Config{Schedule: retry.Constant(0)})
		attempts, calls := 0, 0
		retry.Run(t.Context(), p, func(ctx context.Context) error {
			if attempts++; attempts == 1 {
				return errOp
			}
			return retry.Run(ctx, p, func(context.Context) error { calls++; return errOp })
		})
		if attempts != 3 || calls != 2 {
			t.Errorf("%d attempts, %d inner calls; want 3, and one for each retry", attempts, calls)
		}
	})
}

func TestPanicAndGoexitPassThrough(t *testing.T) {
	p := retry.New(retry.Config{Schedule: retry.Constant(0)})
	attempt := func(end func()) func(context.Context) error {
		n := 0
		return func(context.Context) error {
			if n++; n == 2 {
				end()
			}
			return errOp
		}
	}
	func() {
		defer func() {
			if v := recover(); v != "boom" {
				t.Errorf("recovered %v", v)
			}
		}()
		retry.Run(t.Context(), p, attempt(func() { panic("boom") }))
	}()
	done := make(chan bool)
	go func() {
		returned := false
		defer func() { done <- returned }()
		retry.Run(t.Context(), p, attempt(runtime.Goexit))
		returned = true
	}()
	if <-done {
		t.Error("Run returned after Goexit")
	}
}

func TestWrap(t *testing.T) {
	calls := 0
	double := retry.Wrap(retry.New(retry.Config{Schedule: retry.Constant(0)}), func(_ context.Context, n int) (int, error) {
		if calls++; calls == 1 {
			return 0, errOp
		}
		return 2 * n, nil
	})
	if v, err := double(t.Context(), 21); v != 42 || err != nil || calls != 2 {
		t.Errorf("got %d, %v after %d calls", v, err, calls)
	}
}

func TestErrorText(t *testing.T) {
	err := &retry.Error{Attempts: 2, Err: errOp, Cause: retry.ErrBudget}
	if got, want := err.Error(), "retry: gave up after 2 attempts: operation failed (retry: client-side retry budget is empty)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err.Timeout() || err.Retryable() || err.Rejected() {
		t.Error("Timeout, Retryable or Rejected is true")
	}
	if !(&retry.Error{Err: context.DeadlineExceeded}).Timeout() {
		t.Error("Timeout is false for a deadline")
	}
}

func TestConfigErrors(t *testing.T) {
	defer func() {
		if v, _ := recover().(string); !strings.HasPrefix(v, "retry: Config.MaxAttempts is -1") {
			t.Errorf("New panicked with %q", v)
		}
	}()
	retry.New(retry.Config{MaxAttempts: -1})
}

func TestScheduleReturnsNil(t *testing.T) {
	p := retry.New(retry.Config{Schedule: func() backoff.BackOff { return nil }})
	err := retry.Run(t.Context(), p, func(context.Context) error { return errOp })
	if !errors.Is(err, errOp) || !strings.Contains(err.Error(), "retry: Config.Schedule returned nil") {
		t.Errorf("error %v", err)
	}
}

func TestForeignSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retry.New(retry.Config{MaxAttempts: 10, Schedule: func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Minute), 2)
		}})
		start := time.Now()
		attempts := 0
		err := retry.Run(t.Context(), p, func(context.Context) error { attempts++; return errOp })
		if attempts != 3 || time.Since(start) != 2*time.Minute || !errors.Is(err, retry.ErrExhausted) {
			t.Errorf("%d attempts in %v, error %v", attempts, time.Since(start), err)
		}
	})
}

func TestFirstSuccessDoesNotAllocate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := retry.New(retry.Config{})
	op := func(context.Context) (int, error) { return 1, nil }
	if n := testing.AllocsPerRun(1000, func() { retry.Do(ctx, p, op) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
