package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// Config describes a [Limiter].
type Config struct {
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

// An Event is a decision of a [Limiter], a [Keyed] or a [Bulkhead].
type Event struct {
	// Kind is what was decided.
	Kind Kind
	// N is the number of tokens or places that were asked for.
	N int
	// Waited is how long the call has waited in the queue.
	Waited time.Duration
	// Err is the cause of a refusal. It is ErrLimited where a call that does not
	// wait was refused for the moment.
	Err error
}

// Kind is the kind of an [Event].
type Kind uint8

const (
	// Admitted says that a call was let through.
	Admitted Kind = iota
	// Refused says that it was not.
	Refused
)

func (k Kind) String() string {
	switch k {
	case Admitted:
		return "admitted"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// An observer is the Observe of a Config, or nil.
type observer func(context.Context, Event)

// decided tells o of a decision that was made without waiting.
func (o observer) decided(n int, ok bool) {
	if o == nil {
		return
	}
	if ok {
		o(context.Background(), Event{Kind: Admitted, N: n})
	} else {
		o(context.Background(), Event{Kind: Refused, N: n, Err: ErrLimited})
	}
}

// waited tells o how waiting since a time has ended.
func (o observer) waited(ctx context.Context, n int, since time.Time, err error) {
	if o == nil {
		return
	}
	e := Event{Kind: Admitted, N: n}
	if !since.IsZero() {
		e.Waited = time.Since(since)
	}
	if err != nil {
		e.Kind, e.Err = Refused, errors.Unwrap(err)
	}
	o(ctx, e)
}
