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

// String returns the decision in words, like "retry".
func (d Decision) String() string {
	switch d {
	case Default:
		return "default"
	case Retry:
		return "retry"
	case Stop:
		return "stop"
	}
	return fmt.Sprintf("Decision(%d)", uint8(d))
}

// Config describes a [Policy]. The zero value is a good one.
type Config struct {
	// Name stands in every [Event] and in [Stats].
	Name string

	// MaxAttempts is the number of attempts in all, the first included.
	// 0 means 3.
	MaxAttempts int

	// Schedule makes the delays before the second and each later attempt of
	// one call. It is called only when a first retry is due, and what it
	// returns is used by that call alone. [Exponential] and [Constant] make one,
	// and so does any type of github.com/cenkalti/backoff/v4. nil means
	// Exponential(100*time.Millisecond, 10*time.Second, FullJitter).
	Schedule func() backoff.BackOff `json:"-"`

	// AttemptTimeout bounds each attempt: its context ends after that time with
	// the cause [ErrAttemptTimeout], and the next attempt may follow. For a
	// [Transport] it is the time until the response's headers arrive; the body is
	// not bounded. 0 means no bound but the caller's context.
	AttemptTimeout time.Duration

	// MaxElapsed is the time after the beginning of a call from which on no
	// further attempt begins. It does not end one that runs. 0 means no bound
	// but the deadline of the caller's context, which is the better place.
	MaxElapsed time.Duration

	// MaxRetryAfter is the longest wait that a server may ask for; where it asks
	// for more, the call returns. More than 30 years, as when a Unix time stands in
	// place of a delay, is no wish. 0 means 30 seconds; negative: what it asks for is
	// ignored, and the schedule decides.
	MaxRetryAfter time.Duration

	// Classify decides about an error before the rules in the package
	// documentation do. ctx is the attempt's: [AttemptFrom] tells from the second
	// on which it was. nil leaves everything to the rules.
	Classify func(ctx context.Context, err error) Decision `json:"-"`

	// Budget limits retries over all calls. It is fed by calls that succeed, and
	// by those that end with an answer: an error that is final, unless its status
	// is 500 or above or it has a method Timeout, as those of the network do.
	// nil gives the Policy a Budget of its own, with its Name; NoBudget removes the
	// limit.
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
		c.Budget = NewBudget(BudgetConfig{Name: c.Name})
	}
	return c
}
