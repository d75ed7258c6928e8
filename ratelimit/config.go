package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/time/rate"
)

// Config describes a [Limiter].
type Config struct {
	// Name is what the limit is called in events, errors, statistics and the header
	// fields of [Decision.WriteHeader].
	Name string

	// Rate is the number of tokens per second. It is required; [rate.Every] makes
	// one from an interval, and [rate.Inf] means no limit. The interval is kept in
	// whole nanoseconds, rounded up: limit bytes in KiB.
	Rate rate.Limit
	// Burst is the number of tokens that can be saved up, and so the most that can
	// be taken at once. 0 means 1.
	Burst int
	// StartEmpty begins without tokens, so that a fleet that is restarted does not
	// begin with a burst of each.
	StartEmpty bool

	// Queue is how many calls may wait; those that would be one more are refused.
	// 0 means 1024; negative: none.
	Queue int

	// Observe is told of each decision, in the goroutine and with the context of the
	// call that it was about; for calls without one, [context.Background].
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	return errors.Join(validTerms("Config", c.Rate, c.Burst), validQueue("Config", c.Queue))
}

func validTerms(of string, r rate.Limit, burst int) error {
	var errs []error
	if !(r > 0) {
		errs = append(errs, fmt.Errorf("ratelimit: %s.Rate is %v, want more than 0", of, r))
	}
	if burst < 0 {
		errs = append(errs, fmt.Errorf("ratelimit: %s.Burst is %d, want 1 or more, or 0 for 1", of, burst))
	}
	if r > 0 && r != rate.Inf && float64(interval(r))*float64(max(1, burst)) > longest {
		errs = append(errs, fmt.Errorf("ratelimit: %s.Burst of %d at a Rate of %v takes more than 70 years to fill", of, burst, r))
	}
	return errors.Join(errs...)
}

func validQueue(of string, n int) error {
	if n > maxQueue {
		return fmt.Errorf("ratelimit: %s.Queue is %d, want at most %d", of, n, maxQueue)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Burst = cmp.Or(c.Burst, 1)
	c.Queue = cmp.Or(c.Queue, 1024)
	return c
}
