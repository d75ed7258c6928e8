// Package ratelimit keeps calls within an agreed rate.
//
// A [Limiter] is made once for what has the limit and shared by all calls to it:
//
//	limiter := ratelimit.New(ratelimit.Config{Rate: 100, Burst: 10})
//	if err := limiter.Wait(ctx); err != nil {
//		return err
//	}
//
// [Limiter.Wait] blocks until the next call may be made, [Limiter.Allow] answers
// at once, and [Transport] limits HTTP requests. The methods have the signatures
// of [golang.org/x/time/rate.Limiter], which also fits wherever a [Waiter] is
// asked for.
//
// # Model
//
// The limit is a bucket of Burst tokens that is full at first and refilled
// evenly at Rate; a call takes a token. It is kept as the one time at which the
// bucket would be full again (the generic cell rate algorithm, ITU-T I.371), in
// whole nanoseconds, rounded so that the rate is never exceeded: in any span of
// time t at most Burst + Rate*t calls are let through, under any concurrency.
//
// A waiting call takes its token when its turn comes, first come, first served,
// and not before. One that leaves the queue early has taken nothing, so nothing
// is lost. While calls wait, Allow is false: it does not jump the queue.
//
// # Defaults
//
//	Config.Burst  1
package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

var (
	// ErrLimited is found by [errors.Is] in every refusal.
	ErrLimited = errors.New("ratelimit: limited")
	// ErrDeadline says that the call's turn would come after the context's
	// deadline, which itself has not passed.
	ErrDeadline = errors.New("ratelimit: no token before the deadline")
)

// Error is a refusal: the call was not made.
type Error struct {
	// Cause is ErrDeadline, the cause of the context's end, or the error of a
	// foreign Waiter.
	Cause error

	after time.Duration
}

func (e *Error) Error() string {
	if e.after > 0 {
		return fmt.Sprintf("%v (next in %v)", e.Cause, e.after)
	}
	return fmt.Sprintf("ratelimit: not sent: %v", e.Cause)
}

// Is reports whether target is [ErrLimited].
func (e *Error) Is(target error) bool { return target == ErrLimited }

// Unwrap returns Cause.
func (e *Error) Unwrap() error { return e.Cause }

// Rejected reports true: this process refused the call and sent nothing.
func (e *Error) Rejected() bool { return true }

// Timeout reports whether a deadline was the reason.
func (e *Error) Timeout() bool {
	if t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Cause); ok {
		return t.Timeout()
	}
	return e.Cause == ErrDeadline
}

// RetryAfter returns how long it would have taken, at the time of the refusal,
// to be let through; 0 if that is not known.
func (e *Error) RetryAfter() time.Duration { return e.after }

// Config describes a [Limiter].
type Config struct {
	// Rate is the number of calls per second. It is required; [rate.Every] makes
	// one from an interval, and [rate.Inf] means no limit.
	Rate rate.Limit
	// Burst is the number of calls that may be made at once after a time without
	// any. 0 means 1.
	Burst int
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	var errs []error
	if !(c.Rate > 0) {
		errs = append(errs, fmt.Errorf("ratelimit: Config.Rate is %v, want more than 0", c.Rate))
	}
	if c.Burst < 0 {
		errs = append(errs, fmt.Errorf("ratelimit: Config.Burst is %d, want 1 or more, or 0 for 1", c.Burst))
	}
	if c.Rate > 0 && float64(interval(c.Rate))*float64(c.withDefaults().Burst) > math.MaxInt64/4 {
		errs = append(errs, fmt.Errorf("ratelimit: Config.Burst of %d at a Rate of %v takes more than 70 years to fill", c.Burst, c.Rate))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Burst = cmp.Or(c.Burst, 1)
	return c
}

// interval is the time between two tokens, rounded up so that the rate is never
// exceeded, and bounded so that sums of two of them do not overflow.
func interval(r rate.Limit) time.Duration {
	return time.Duration(min(math.Ceil(float64(time.Second)/float64(r)), math.MaxInt64/2))
}

// A Limiter lets calls through at a limited rate. It is safe for concurrent use,
// starts no goroutine, and needs no Close. A nil *Limiter has no limit. Make it
// with [New].
type Limiter struct {
	interval time.Duration // between two tokens; 0: no limit
	full     time.Duration // from an empty bucket to a full one
	epoch    time.Time

	fullAt  atomic.Int64  // when the bucket will be full, in ns after epoch
	waiting atomic.Int64  // calls in Wait that queue
	turn    chan struct{} // held by the call at the head of the queue
}

// New returns a Limiter whose bucket is full. It panics if cfg is not valid.
func New(cfg Config) *Limiter {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	l := &Limiter{epoch: time.Now(), turn: make(chan struct{}, 1)}
	if cfg.Rate != rate.Inf {
		l.interval = interval(cfg.Rate)
		l.full = l.interval * time.Duration(cfg.Burst)
	}
	return l
}

// Allow reports whether a call may be made now, and counts it if so.
func (l *Limiter) Allow() bool {
	if l == nil || l.interval == 0 {
		return true
	}
	if l.waiting.Load() > 0 {
		return false
	}
	return l.take() <= 0
}

// Wait blocks until a call may be made. It returns an [*Error] at once if that
// would be after the deadline of ctx, and when ctx ends first.
func (l *Limiter) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return &Error{Cause: context.Cause(ctx)}
	}
	if l.Allow() {
		return nil
	}
	ahead := l.waiting.Add(1) - 1
	defer l.waiting.Add(-1)
	if deadline, ok := ctx.Deadline(); ok {
		// Those ahead may leave the queue, so this is the longest it can take.
		longest := l.after(time.Since(l.epoch)) + time.Duration(ahead)*l.interval
		if time.Until(deadline) < longest {
			return &Error{Cause: ErrDeadline, after: longest}
		}
	}
	// Senders on a full channel are served in the order of their coming.
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return &Error{Cause: context.Cause(ctx)}
	}
	for {
		if ctx.Err() != nil {
			return &Error{Cause: context.Cause(ctx)}
		}
		after := l.take()
		if after <= 0 {
			return nil
		}
		timer := time.NewTimer(after)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// take takes a token if there is one, and otherwise returns the time until there
// will be, changing nothing.
func (l *Limiter) take() time.Duration {
	now := time.Since(l.epoch)
	for {
		fullAt := l.fullAt.Load()
		// A now from before another's take only makes this stricter.
		next := max(time.Duration(fullAt), now) + l.interval
		if after := next - now - l.full; after > 0 {
			return after
		}
		if l.fullAt.CompareAndSwap(fullAt, int64(next)) {
			return 0
		}
	}
}

// after returns the time until there will be a token.
func (l *Limiter) after(now time.Duration) time.Duration {
	return max(time.Duration(l.fullAt.Load()), now) + l.interval - now - l.full
}
