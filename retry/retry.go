// Package retry tries an operation again when that can help, and never so much
// that it harms.
//
// A [Policy] is made once per backend and shared by all calls to it:
//
//	policy := retry.New(retry.Config{})
//	user, err := retry.Do(ctx, policy, func(ctx context.Context) (User, error) {
//		return fetchUser(ctx, id)
//	})
//
// [Do], [Run] and [Wrap] retry any operation, [Transport] an HTTP request. Three
// rules keep retries harmless:
//
//   - Retries are a share of success. A [Budget] lets through one retry for ten
//     successes; while nothing succeeds, only a handful, then one a second. A
//     backend that is down sees its usual load, not three times of it.
//   - No wait is in vain. When the next attempt could only begin after the
//     context's deadline, the call returns at once, with the operation's error.
//   - The server's word counts. A Retry-After (a response's header field or an
//     error's method) is the least time waited.
//
// # Which errors are retried
//
// The first line that applies decides. Methods are looked for in the whole error
// tree, so errors of any package can have them.
//
//	the caller's context has ended            stop
//	made by Permanent, or backoff.Permanent   stop
//	made by After                             retry after that time
//	Config.Classify says Retry or Stop        as it says
//	Rejected() bool is true                   retry at once: nothing was sent
//	Retryable() bool                          as it says
//	RetryAfter() time.Duration is positive    retry after that time
//	HTTPStatusCode() int                      retry 408, 429, 502, 503, 504; else stop
//	anything else                             retry
//
// # Defaults
//
//	Config.MaxAttempts     3
//	Config.Schedule        Exponential(100ms, 10s, FullJitter)
//	Config.MaxRetryAfter   30s
//	Config.Budget          NewBudget(BudgetConfig{}), one per Policy
//	BudgetConfig.Ratio     0.1
//	BudgetConfig.Credit    10
//	BudgetConfig.Floor     1
package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Why a retry was not made. They are the Cause of an [Error].
var (
	// ErrExhausted says that all attempts were made.
	ErrExhausted = errors.New("retry: no attempts left")
	// ErrBudget says that the client's own [Budget] had nothing left to spend;
	// the server has not refused anything.
	ErrBudget = errors.New("retry: client-side retry budget is empty")
	// ErrDeadline says that the next attempt could only have begun after the
	// context's deadline, which itself has not passed.
	ErrDeadline = errors.New("retry: no time for another attempt before the deadline")
	// ErrRetryAfter says that the server asks for a wait above MaxRetryAfter.
	ErrRetryAfter = errors.New("retry: server asks to wait longer than MaxRetryAfter")
)

// Error is what a call returns after a second attempt was made or refused. Both
// Last and Cause are found by [errors.Is] and [errors.As]. An operation that
// fails for good on its first attempt returns its own error instead.
type Error struct {
	Attempts int           // attempts made
	Elapsed  time.Duration // since the first attempt failed
	Last     error         // the operation's error in its last attempt
	Cause    error         // why no other followed; nil if Last was final
}

func (e *Error) Error() string {
	s := fmt.Sprintf("retry: gave up after attempt %d: %v", e.Attempts, e.Last)
	if e.Cause != nil && e.Cause != ErrExhausted {
		s += " (" + e.Cause.Error() + ")"
	}
	return s
}

// Unwrap returns Last and Cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Last}
	}
	return []error{e.Last, e.Cause}
}

// Retryable reports false: what has been retried here is not retried again by
// a caller that retries too, which would multiply the attempts.
func (e *Error) Retryable() bool { return false }

// Timeout reports whether the last attempt timed out, or the context did while
// the next one was waited for.
func (e *Error) Timeout() bool {
	for _, err := range e.Unwrap() {
		if t, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err); ok && t.Timeout() {
			return true
		}
	}
	return false
}

// Rejected reports false: at least one attempt was sent.
func (e *Error) Rejected() bool { return false }

// A Decision is what Classify makes of an error.
type Decision uint8

const (
	// Default leaves the decision to the rules in the package documentation.
	Default Decision = iota
	// Retry tries again, within the limits of the [Config].
	Retry
	// Stop returns the error to the caller.
	Stop
)

// Config describes a [Policy]. The zero value is a good one.
type Config struct {
	// MaxAttempts is the number of attempts in all, the first included.
	// 0 means 3.
	MaxAttempts int

	// Schedule makes the delays before the second and each later attempt of
	// one call. It is called only when a first retry is due, and what it
	// returns is used by that call alone. nil means
	// Exponential(100*time.Millisecond, 10*time.Second, FullJitter).
	Schedule func() backoff.BackOff `json:"-"`

	// MaxRetryAfter is the longest wait that a server may ask for; where it asks
	// for more, the call returns. 0 means 30 seconds; negative: a server's wish
	// to wait is ignored.
	MaxRetryAfter time.Duration

	// Classify decides about an error before the rules in the package
	// documentation do. nil leaves everything to them.
	Classify func(ctx context.Context, err error) Decision `json:"-"`

	// Budget limits retries over all calls. nil gives the Policy one of its
	// own; NoBudget removes the limit.
	Budget *Budget `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	if c.MaxAttempts < 0 {
		return fmt.Errorf("retry: Config.MaxAttempts is %d, want 1 or more, or 0 for the default", c.MaxAttempts)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 3)
	if c.Schedule == nil {
		c.Schedule = Exponential(100*time.Millisecond, 10*time.Second, FullJitter)
	}
	c.MaxRetryAfter = cmp.Or(c.MaxRetryAfter, 30*time.Second)
	if c.Budget == nil {
		c.Budget = NewBudget(BudgetConfig{})
	}
	return c
}

// A Policy says how the calls to one backend are retried, and owns the budget
// that they share. It is immutable and safe for concurrent use. Make it with [New].
type Policy struct {
	cfg    Config
	budget *Budget
}

// New returns a Policy. It panics if cfg is not valid.
func New(cfg Config) *Policy {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	return &Policy{cfg: cfg, budget: cfg.Budget}
}

// Do calls op until it succeeds, fails for good, or p allows no further attempt.
// It returns the last attempt's value with its error: unchanged if the first
// attempt was the only one and final, otherwise as an *[Error].
//
// Do does not call op if ctx has ended already; it returns [context.Cause] then.
// The first attempt gets ctx itself, each later one a context that carries its
// [Attempt]. Do never returns while op runs, and panics of op pass through.
//
// Inside another retry's second or later attempt, Do makes a single attempt:
// nested retries add up, they do not multiply.
func Do[T any](ctx context.Context, p *Policy, op func(context.Context) (T, error)) (T, error) {
	if ctx.Err() != nil {
		var zero T
		return zero, context.Cause(ctx)
	}
	v, err := op(ctx)
	if err == nil {
		p.budget.deposit()
		return v, nil
	}
	return again(ctx, p, op, v, err)
}

// again is the rest of Do, kept apart so that a first success stays cheap.
func again[T any](ctx context.Context, p *Policy, op func(context.Context) (T, error), v T, err error) (T, error) {
	l := newLoop(ctx, p)
	defer l.end()
	for {
		delay, ok := l.plan(classify(ctx, p, err))
		if !ok || !l.wait(delay) {
			return v, l.fail(err)
		}
		v, err = op(l.ctx)
		if err == nil {
			p.budget.deposit()
			return v, nil
		}
	}
}

// Run is [Do] for an operation without a value.
func Run(ctx context.Context, p *Policy, op func(context.Context) error) error {
	_, err := Do(ctx, p, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, op(ctx)
	})
	return err
}

// Wrap returns fn with retries by p.
func Wrap[In, T any](p *Policy, fn func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	return func(ctx context.Context, in In) (T, error) {
		return Do(ctx, p, func(ctx context.Context) (T, error) { return fn(ctx, in) })
	}
}

// Permanent marks err as final. [Do] returns err itself, without the mark.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &marked{error: err}
}

// After marks err as worth another attempt, no sooner than in d. A d of 0 or
// less leaves the delay to the schedule. After(d, nil) is nil.
func After(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &marked{error: err, retry: true, after: d}
}

// marked is an error whose fate its maker has decided.
type marked struct {
	error
	retry bool
	after time.Duration
}

func (m *marked) Unwrap() error             { return m.error }
func (m *marked) Retryable() bool           { return m.retry }
func (m *marked) RetryAfter() time.Duration { return m.after }

// An Attempt describes the attempt that a context was made for.
type Attempt struct {
	Number int // 2 for the first retry
}

type attemptKey struct{}

// AttemptFrom returns the attempt that ctx was made for; ok is false outside of
// a retry, and in its first attempt.
func AttemptFrom(ctx context.Context) (a Attempt, ok bool) {
	a, ok = ctx.Value(attemptKey{}).(Attempt)
	return a, ok
}
