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
// Every error is retried, a missing record and a violated constraint too, unless it
// says that it is final or Config.Classify does. The table below has the rules;
// the examples of Config show a Classify for database/sql.
//
// [Do], [Run] and [Wrap] retry any operation, [Attempts] is their loop, and
// [Transport] retries HTTP requests. [Hedge] begins a slow operation a second time
// without waiting for the first. Three rules keep all of them harmless:
//
//   - Retries are a share of success. A [Budget] lets through one retry for ten
//     successes; while nothing succeeds, only a handful, then one a second. A
//     backend that is down sees its usual load, not three times of it.
//   - No wait is in vain. When the next attempt could only begin after the
//     context's deadline, the call returns at once, with the operation's error.
//   - The server's word counts. A Retry-After (a response's header field or an
//     error's method) is the least time waited.
//
// SIMULATIONS.md beside this file shows what these rules do to a backend that is in
// trouble. README.md is for those who come from other packages.
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
//	Rejected() bool is true                   stop, unless Retryable() bool is true:
//	                                          then retry after RetryAfter(), or at once
//	Retryable() bool                          as it says
//	RetryAfter() time.Duration is positive    retry after that time
//	HTTPStatusCode() int                      by the status
//	anything else                             retry
//
// Rejected says that a layer below has refused the attempt and sent nothing, as an
// open circuit breaker does. To ask again cannot help, unless that layer says
// Retryable: a rate limiter that knows when, a balancer that has other endpoints.
// Attempts that were refused cost the budget nothing. If one was sent before,
// its error is the call's, and the refusal is its cause.
//
// # Which statuses are retried
//
// They are the same for an error with HTTPStatusCode and for [Transport], which
// also asks whether the request may be sent twice.
//
//	408 Request Timeout         retry
//	429 Too Many Requests       retry
//	502 Bad Gateway             retry
//	503 Service Unavailable     retry
//	504 Gateway Timeout         retry
//	500 and other 5xx           stop; the backend is not well
//	anything else               stop; the backend is well, and the budget is fed
//
// # Should I retry this?
//
// Whether an operation may run twice is for you to say; only [Transport] knows.
//
//	a read, or a write with an idempotency key     yes
//	a write that may have been received            no, unless the server can tell
//	a database transaction                         the whole of it, not a statement in it
//	a conflict (409, serialization failure)        yes, from the read on
//	a refused connection                           yes: nothing was sent
//	a rate limit                                   yes, after the time it gives
//	a validation error, a missing record           no: Permanent or Classify
//	a response's body that breaks off              yes, if reading is within op
//	a call that retries by itself                  no: let one layer do it
//	a user who waits for a page                    once or twice, with a deadline
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
//	HedgeConfig.Quantile   0.95
//	HedgeConfig.Max        2
//	HedgeConfig.Budget     NewBudget(BudgetConfig{}), one per Hedger
//
// By default a call waits for no more than 0.3 s in all, unless a server asks it to
// wait. Two waits of 30 s each are possible then: give the context a deadline.
package retry

import (
	"context"
	"time"
)

// A Policy says how the calls to one backend are retried, and owns the budget
// that they share. It is immutable and safe for concurrent use. Make it with [New].
type Policy struct {
	cfg    Config
	budget *Budget
	epoch  time.Time
	timed  bool // even a first attempt needs the clock

	counters
}

// New returns a Policy. It panics if cfg is not valid.
func New(cfg Config) *Policy {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	return &Policy{
		cfg:    cfg,
		budget: cfg.Budget,
		epoch:  time.Now(),
		timed:  cfg.AttemptTimeout > 0 || cfg.MaxElapsed > 0 || cfg.Observe != nil,
	}
}

// Do calls op until it succeeds, fails with a final error, or p allows no further
// attempt. It returns the last attempt's value with its error: unchanged if the
// first attempt was the only one and its error final, otherwise as an *[Error]. A
// value beside an error is op's to close, as no other attempt's value is returned.
//
// Do does not call op if ctx has ended already; it returns [context.Cause] then.
// The first attempt gets ctx itself, each later one a context that carries its
// [Attempt]. With an AttemptTimeout the context of an attempt ends when op returns:
// what reads from it, such as the body of a response, is read inside op. Do never
// returns while op runs, and panics of op pass through.
//
// Inside another retry's second or later attempt, Do makes a single attempt:
// nested retries add up, they do not multiply. A mark of [Permanent] counts for the
// Do that sees it, and an outer one decides anew.
func Do[T any](ctx context.Context, p *Policy, op func(context.Context) (T, error)) (T, error) {
	if ctx.Err() != nil {
		var zero T
		return zero, context.Cause(ctx)
	}
	if p.timed {
		return timed(ctx, p, op)
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
	var l loop
	l.begin(ctx, p)
	defer l.end()
	return rest(&l, op, v, err)
}

// timed is Do with a clock that runs from the beginning.
func timed[T any](ctx context.Context, p *Policy, op func(context.Context) (T, error)) (T, error) {
	var l loop
	l.begin(ctx, p)
	defer l.end()
	v, err := once(&l, op)
	return rest(&l, op, v, err)
}

// rest goes on after an attempt.
func rest[T any](l *loop, op func(context.Context) (T, error), v T, err error) (T, error) {
	for {
		if err == nil {
			l.succeed()
			return v, nil
		}
		if !l.next(err) {
			return v, l.fail()
		}
		v, err = once(l, op)
	}
}

func once[T any](l *loop, op func(context.Context) (T, error)) (T, error) {
	ctx, cancel := l.bound()
	defer cancel()
	return op(ctx)
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
