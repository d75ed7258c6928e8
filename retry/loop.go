package retry

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
)

var errNilSchedule = errors.New("retry: Config.Schedule returned nil")

const (
	// maxEarlier is how many errors of earlier attempts a call remembers.
	maxEarlier = 15
	// maxIdle is how many closed connections of a pool a call may meet.
	maxIdle = 100
)

// loop is the state of one call: from its first failure on or, if its policy is
// timed, from its beginning on.
type loop struct {
	policy   *Policy
	parent   context.Context
	ctx      context.Context // for the attempt that is due or under way; carries its number
	gone     <-chan struct{} // closed when the caller leaves in another way than by the context
	max      int
	attempts int           // that have ended
	sent     int           // of them, those that were more than a refusal
	idle     int           // of them, those that met a closed connection; max does not count them
	paid     bool          // for the attempt that is due
	start    time.Duration // of a timed policy
	failed   time.Duration // when the first attempt did
	schedule backoff.BackOff
	timer    *time.Timer

	err     error   // of the last attempt that was sent; or, if none was, the last refusal
	earlier []error // of those sent before it
	refusal error   // if the last attempt was refused and another was sent before
	cause   error   // why no other attempt follows
}

// begin fills a zero loop; it stays on its caller's stack.
func (l *loop) begin(ctx context.Context, p *Policy) {
	l.policy, l.parent, l.ctx, l.max = p, ctx, ctx, p.cfg.MaxAttempts
	if p.timed {
		l.start = l.now()
	}
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
	delay, ok := l.plan(classify(l.ctx, l.policy.cfg.Classify, err), err)
	return ok && l.wait(delay)
}

// plan counts an attempt that ended with err, and returns the delay before the next
// one, paid for from the budget. ok is false if there is to be none.
func (l *loop) plan(v verdict, err error) (delay time.Duration, ok bool) {
	if l.attempts++; l.attempts == 1 {
		l.failed = l.now()
	}
	l.record(v, err)
	delay, ok = l.delay(v)
	if ok {
		l.observe(Event{Kind: Retrying, Err: err, Delay: delay})
		return delay, true
	}
	if v.answered {
		l.policy.budget.success()
	}
	if l.refusal != nil || l.sent == 0 {
		l.cause = l.refusal
	}
	l.giveUp()
	return 0, false
}

// record takes note of how an attempt ended. A refusal never takes the place of an
// error of an attempt that was sent.
func (l *loop) record(v verdict, err error) {
	if v.rejected && l.sent > 0 {
		l.refusal = err
		return
	}
	l.refusal = nil
	if !v.rejected {
		if l.sent++; l.sent == 1 {
			l.policy.budget.request()
		} else {
			if len(l.earlier) == maxEarlier {
				l.earlier = slices.Delete(l.earlier, 0, 1)
			}
			l.earlier = append(l.earlier, l.err)
		}
	}
	l.err = unmarked(err)
}

func (l *loop) delay(v verdict) (delay time.Duration, ok bool) {
	if v.stop {
		return 0, false
	}
	if v.idle && l.idle < maxIdle {
		l.idle++
		l.max++
	}
	if l.attempts >= l.max {
		if l.attempts > 1 {
			l.cause = ErrExhausted
		}
		return 0, false
	}
	if !v.atOnce {
		if delay, l.cause = l.scheduled(v.after); l.cause != nil {
			return 0, false
		}
	}
	if deadline, has := l.parent.Deadline(); has && time.Until(deadline) <= delay {
		l.cause = ErrDeadline
		return 0, false
	}
	if limit := l.policy.cfg.MaxElapsed; limit > 0 && l.now()-l.start >= limit-delay {
		l.cause = ErrMaxElapsed
		return 0, false
	}
	if !v.free {
		if !l.policy.budget.withdraw() {
			l.cause = ErrBudget
			return 0, false
		}
		l.paid = true
	}
	return delay, true
}

// scheduled returns the schedule's next delay, and at least after, or why there is
// none.
func (l *loop) scheduled(after time.Duration) (time.Duration, error) {
	cfg := &l.policy.cfg
	if l.schedule == nil {
		if l.schedule = cfg.Schedule(); l.schedule == nil {
			return 0, errNilSchedule
		}
		l.schedule.Reset()
	}
	delay := l.schedule.NextBackOff()
	if delay == backoff.Stop {
		return 0, ErrExhausted
	}
	delay = max(delay, 0)
	if limit := cfg.MaxRetryAfter; after > 0 && limit > 0 {
		if after > limit {
			return 0, ErrRetryAfter
		}
		// Jitter only upwards: earlier than asked would be rude, and all clients
		// at the same moment is what the server is afraid of.
		delay = max(delay, after+rand.N(min(after/5, math.MaxInt64-after)+1))
	}
	return delay, nil
}

// wait sleeps and prepares the context of the next attempt. It reports false if
// the caller leaves first; an attempt that is not made costs nothing.
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
		case <-l.gone:
		}
	}
	if cause := l.left(); cause != nil {
		l.abandon(cause)
		return false
	}
	if l.paid {
		l.paid = false
		l.policy.budget.made()
	}
	if l.policy.retries.Add(1); l.attempts == 1 {
		l.policy.retried.Add(1)
	}
	l.ctx = withAttempt(l.parent, Attempt{Number: l.attempts + 1})
	return true
}

// left returns why the caller does not wait any more, or nil.
func (l *loop) left() error {
	if l.parent.Err() != nil {
		return context.Cause(l.parent)
	}
	select {
	case <-l.gone:
		return errRequestCanceled
	default:
		return nil
	}
}

// abandon takes back a retry that plan has allowed.
func (l *loop) abandon(cause error) {
	l.cause = cause
	l.payBack()
	l.giveUp()
}

// payBack gives the budget what was paid for an attempt that is not made.
func (l *loop) payBack() {
	if l.paid {
		l.paid = false
		l.policy.budget.refund()
	}
}

// giveUp books a call that failed.
func (l *loop) giveUp() {
	if !l.bare() {
		l.policy.gaveUp.Add(1)
	}
	switch l.cause {
	case ErrBudget:
		l.policy.refused.Add(1)
	case ErrDeadline, ErrMaxElapsed, ErrRetryAfter:
		l.policy.expired.Add(1)
	}
	l.observe(Event{Kind: GaveUp, Err: l.err, Cause: l.cause})
}

// succeed ends a call whose last attempt succeeded.
func (l *loop) succeed() {
	if l.sent == 0 {
		l.policy.budget.request()
	}
	l.policy.budget.success()
	if l.attempts++; l.attempts > 1 {
		l.policy.recovered.Add(1)
	}
	l.observe(Event{Kind: Succeeded})
}

// bare reports whether a call that failed returns the operation's error as it is.
func (l *loop) bare() bool { return l.cause == nil && (l.attempts == 1 || l.sent == 0) }

// fail returns the error of a call that has given up.
func (l *loop) fail() error {
	if l.bare() {
		return l.err
	}
	return &Error{Attempts: l.sent, Elapsed: l.now() - l.failed, Err: l.err, Earlier: l.earlier, Cause: l.cause}
}

func (l *loop) observe(e Event) {
	if l.policy.cfg.Observe == nil {
		return
	}
	e.Name, e.Attempt, e.Elapsed = l.policy.cfg.Name, l.attempts, l.now()-l.start
	l.policy.cfg.Observe(l.parent, e)
}

// end gives back what is left, also if code of the caller's panics.
func (l *loop) end() {
	l.payBack()
	if l.timer != nil {
		l.timer.Stop()
	}
}
