package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

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

	// AttemptTimeout bounds each attempt: its context ends after that time with
	// the cause [ErrAttemptTimeout], and the next attempt may follow. For a
	// [Transport] it is the time to the response's headers; the body is not
	// bounded. 0 means no bound but the caller's context.
	AttemptTimeout time.Duration

	// MaxElapsed is the time after the beginning of a call from which on no
	// further attempt begins. It does not end one that runs. 0 means no bound
	// but the deadline of the caller's context, which is the better place.
	MaxElapsed time.Duration

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

	// Observe is called after each attempt, with the caller's context, on the
	// caller's goroutine. nil means not at all.
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	var errs []error
	if c.MaxAttempts < 0 {
		errs = append(errs, fmt.Errorf("retry: Config.MaxAttempts is %d, want 1 or more, or 0 for the default", c.MaxAttempts))
	}
	if c.AttemptTimeout < 0 {
		errs = append(errs, fmt.Errorf("retry: Config.AttemptTimeout is %v, want more than 0, or 0 for none", c.AttemptTimeout))
	}
	if c.MaxElapsed < 0 {
		errs = append(errs, fmt.Errorf("retry: Config.MaxElapsed is %v, want more than 0, or 0 for none", c.MaxElapsed))
	}
	return errors.Join(errs...)
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

// An Kind says what an [Event] is about.
type Kind uint8

const (
	// Succeeded: the attempt succeeded, and the call with it.
	Succeeded Kind = iota
	// Retrying: the attempt failed, and another will follow after Delay.
	Retrying
	// GaveUp: the attempt failed, and none will follow.
	GaveUp
	// Hedging: the attempt was begun beside, or after, a slow or failed one.
	Hedging
	// Unhedged: an attempt was due and the budget refused it.
	Unhedged
)

func (k Kind) String() string {
	switch k {
	case Succeeded:
		return "succeeded"
	case Retrying:
		return "retrying"
	case GaveUp:
		return "gave up"
	case Hedging:
		return "hedging"
	case Unhedged:
		return "unhedged"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// An Event is what Config.Observe and HedgeConfig.Observe are told.
type Event struct {
	Kind    Kind          // what happened
	Attempt int           // the attempt's number, from 1 on
	Elapsed time.Duration // since the call began
	Delay   time.Duration // Retrying: before the next attempt
	Err     error         // Retrying and GaveUp: the attempt's error
	Cause   error         // GaveUp: why no other follows; nil if Err is final
}
