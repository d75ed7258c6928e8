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

// loop is the state of one call: from its first failure on or, if its policy is
// timed, from its beginning on.
type loop struct {
	policy   *Policy
	parent   context.Context
	ctx      context.Context // for the attempt that wait has allowed
	max      int
	attempts int  // that have ended
	sent     bool // some attempt was more than a rejection
	start    time.Duration
	failed   time.Duration // when the first attempt did
	schedule backoff.BackOff
	timer    *time.Timer
	cause    error
}

// begin fills a zero loop; it stays on its caller's stack.
func (l *loop) begin(ctx context.Context, p *Policy) {
	l.policy, l.parent, l.ctx, l.max = p, ctx, ctx, p.cfg.MaxAttempts
	l.start = l.now()
	if _, nested := AttemptFrom(ctx); nested {
		l.max = 1
	}
}

func (l *loop) now() time.Duration { return time.Since(l.policy.epoch) }

// bound returns the context for one attempt, and what ends it.
func (l *loop) bound() (context.Context, context.CancelFunc) {
	if d := l.policy.cfg.AttemptTimeout; d > 0 {
		return context.WithTimeoutCause(l.ctx, d, ErrAttemptTimeout)
	}
	return l.ctx, func() {}
}

// next reports whether there is to be another attempt after err, once it is time
// for it.
func (l *loop) next(err error) bool {
	delay, ok := l.plan(classify(l.parent, l.policy.cfg.Classify, err), err)
	return ok && l.wait(delay, err)
}

// plan counts an attempt that ended with v, and returns the delay before the next
// one, paid for from the budget. ok is false if there is to be none.
func (l *loop) plan(v verdict, err error) (delay time.Duration, ok bool) {
	if l.attempts++; l.attempts == 1 {
		l.failed = l.start
		if l.policy.timed {
			l.failed = l.now()
		}
	}
	if !v.rejected && !l.sent {
		l.sent = true
		l.policy.budget.request()
	}
	delay, ok = l.delay(v)
	if !ok {
		l.observe(Event{Kind: GaveUp, Err: err, Cause: l.cause})
		return 0, false
	}
	l.observe(Event{Kind: Retrying, Err: err, Delay: delay})
	return delay, true
}

func (l *loop) delay(v verdict) (delay time.Duration, ok bool) {
	cfg := &l.policy.cfg
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
		return 0, l.inTime(0)
	}
	if l.schedule == nil {
		if l.schedule = cfg.Schedule(); l.schedule == nil {
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
	delay = max(delay, 0)
	if v.atOnce {
		delay = 0
	}
	if limit := cfg.MaxRetryAfter; v.after > 0 && limit > 0 {
		if v.after > limit {
			l.cause = ErrRetryAfter
			return 0, false
		}
		// Jitter only upwards: earlier than asked would be rude, and all clients
		// at the same moment is what the server is afraid of.
		delay = max(delay, v.after+rand.N(min(v.after/5, math.MaxInt64-v.after)+1))
	}
	if deadline, has := l.parent.Deadline(); has && time.Until(deadline) <= delay {
		l.cause = ErrDeadline
		return 0, false
	}
	if !l.inTime(delay) {
		return 0, false
	}
	if !l.policy.budget.withdraw() {
		l.cause = ErrBudget
		return 0, false
	}
	return delay, true
}

// inTime reports whether an attempt after delay begins before MaxElapsed.
func (l *loop) inTime(delay time.Duration) bool {
	limit := l.policy.cfg.MaxElapsed
	if limit == 0 || l.now()-l.start < limit-delay {
		return true
	}
	l.cause = ErrMaxElapsed
	return false
}

// wait sleeps and prepares the context of the next attempt. It reports false if
// the caller's context ends first; an attempt that is not made costs nothing.
func (l *loop) wait(delay time.Duration, err error) bool {
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
		l.abandon(context.Cause(l.parent), err)
		return false
	}
	l.ctx = newAttemptContext(l.parent, l.attempts+1)
	return true
}

// abandon takes back a retry that plan has allowed.
func (l *loop) abandon(cause, err error) {
	l.cause = cause
	l.policy.budget.refund()
	l.observe(Event{Kind: GaveUp, Err: err, Cause: cause})
}

// succeed ends a call whose last attempt succeeded.
func (l *loop) succeed() {
	if !l.sent {
		l.policy.budget.request()
	}
	l.policy.budget.success()
	l.attempts++
	l.observe(Event{Kind: Succeeded})
}

// fail returns the error of a call whose last attempt ended with err.
func (l *loop) fail(err error) error {
	if m, ok := err.(*marked); ok {
		err = m.error
	}
	if !l.sent || l.attempts == 1 && l.cause == nil {
		return err
	}
	return &Error{Attempts: l.attempts, Elapsed: l.now() - l.failed, Last: err, Cause: l.cause}
}

func (l *loop) observe(e Event) {
	if l.policy.cfg.Observe == nil {
		return
	}
	e.Attempt = l.attempts
	e.Elapsed = l.now() - l.start
	l.policy.cfg.Observe(l.parent, e)
}

func (l *loop) end() {
	if l.timer != nil {
		l.timer.Stop()
	}
}
