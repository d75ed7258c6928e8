package retry

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

var errNilSchedule = errors.New("retry: Config.Schedule returned nil")

// A verdict is what is to be done about one failed attempt.
type verdict struct {
	stop     bool
	rejected bool          // nothing was sent: free of delay and budget
	after    time.Duration // the least delay; <= 0: as scheduled
}

// loop is the state of one call from its first failure on.
type loop struct {
	policy   *Policy
	parent   context.Context
	ctx      context.Context // for the attempt that wait has allowed
	max      int
	attempts int
	sent     bool // some attempt was more than a rejection
	start    time.Time
	schedule backoff.BackOff
	timer    *time.Timer
	cause    error
}

func newLoop(ctx context.Context, p *Policy) *loop {
	l := &loop{policy: p, parent: ctx, max: p.cfg.MaxAttempts, start: time.Now()}
	if _, nested := AttemptFrom(ctx); nested {
		l.max = 1
	}
	return l
}

// plan counts an attempt that ended with v, and returns the delay before the next
// one, paid for from the budget. ok is false if there is to be none.
func (l *loop) plan(v verdict) (delay time.Duration, ok bool) {
	l.attempts++
	l.sent = l.sent || !v.rejected
	if v.stop {
		return 0, false
	}
	if l.attempts >= l.max {
		if l.attempts > 1 {
			l.cause = ErrExhausted
		}
		return 0, false
	}
	if v.rejected {
		return 0, true
	}
	if l.schedule == nil {
		if l.schedule = l.policy.cfg.Schedule(); l.schedule == nil {
			l.cause = errNilSchedule
			return 0, false
		}
		l.schedule.Reset()
	}
	delay = l.schedule.NextBackOff()
	if delay == backoff.Stop {
		l.cause = ErrExhausted
		return 0, false
	}
	if limit := l.policy.cfg.MaxRetryAfter; v.after > 0 && limit > 0 {
		if v.after > limit {
			l.cause = ErrRetryAfter
			return 0, false
		}
		// Jitter only upwards: earlier than asked would be rude, and all clients
		// at the same moment is what the server is afraid of.
		delay = max(delay, v.after+rand.N(min(v.after/5, math.MaxInt64-v.after)+1))
	}
	if deadline, has := l.parent.Deadline(); has && time.Until(deadline) <= max(delay, 0) {
		l.cause = ErrDeadline
		return 0, false
	}
	if !l.policy.budget.withdraw() {
		l.cause = ErrBudget
		return 0, false
	}
	return delay, true
}

// wait sleeps and prepares the context of the next attempt. It reports false if
// the caller's context ends first.
func (l *loop) wait(delay time.Duration) bool {
	if delay > 0 {
		if l.timer == nil {
			l.timer = time.NewTimer(delay)
		} else {
			l.timer.Reset(delay)
		}
		select {
		case <-l.timer.C:
		case <-l.parent.Done():
		}
	}
	if l.parent.Err() != nil {
		l.cause = context.Cause(l.parent)
		return false
	}
	l.ctx = context.WithValue(l.parent, attemptKey{}, Attempt{Number: l.attempts + 1})
	return true
}

// fail returns the error of a call whose last attempt ended with err.
func (l *loop) fail(err error) error {
	if m, ok := err.(*marked); ok {
		err = m.error
	}
	if !l.sent || l.attempts == 1 && l.cause == nil {
		return err
	}
	return &Error{Attempts: l.attempts, Elapsed: time.Since(l.start), Last: err, Cause: l.cause}
}

func (l *loop) end() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// classify applies the rules of the package documentation.
func classify(ctx context.Context, p *Policy, err error) verdict {
	if ctx.Err() != nil {
		return verdict{stop: true}
	}
	if m, ok := errors.AsType[*marked](err); ok {
		// A mark inside another retry's Error was for that one.
		_, nested := errors.AsType[*Error](err)
		_, outside := errors.AsType[*Error](m.error)
		if !nested || outside {
			return verdict{stop: !m.retry, after: m.after}
		}
	}
	if _, ok := errors.AsType[*backoff.PermanentError](err); ok {
		return verdict{stop: true}
	}
	after := retryAfter(err)
	if p.cfg.Classify != nil {
		switch p.cfg.Classify(ctx, err) {
		case Retry:
			return verdict{after: after}
		case Stop:
			return verdict{stop: true}
		}
	}
	if r, ok := errors.AsType[rejecter](err); ok && r.Rejected() {
		return verdict{rejected: true}
	}
	if r, ok := errors.AsType[retryabler](err); ok {
		return verdict{stop: !r.Retryable(), after: after}
	}
	if after > 0 {
		return verdict{after: after}
	}
	if s, ok := errors.AsType[statusCoder](err); ok {
		return verdict{stop: !retryStatus(s.HTTPStatusCode())}
	}
	return verdict{}
}

// The shapes in which errors of all packages say what they know.
type (
	rejecter interface {
		error
		Rejected() bool
	}
	retryabler interface {
		error
		Retryable() bool
	}
	statusCoder interface {
		error
		HTTPStatusCode() int
	}
)

// retryAfter returns the first positive hint in err's tree. An error that has
// the method but no hint does not hide one below it.
func retryAfter(err error) time.Duration {
	if h, ok := err.(interface{ RetryAfter() time.Duration }); ok {
		if d := h.RetryAfter(); d > 0 {
			return d
		}
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if inner := u.Unwrap(); inner != nil {
			return retryAfter(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			if d := retryAfter(inner); d > 0 {
				return d
			}
		}
	}
	return 0
}
