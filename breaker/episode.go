package breaker

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// An episode is the time between two changes of state, and what is counted in it.
// A Permit belongs to the episode in which it was given: what it reports after that
// counts in the totals of the breaker, and nowhere else.
//
// How a call gets in, and what its success costs, follows from these:
//
//	                                path                usual       success
//	closed, rows only               admit               admit       counted
//	closed, with a window           admit               admit       clocked
//	closed, with Slow               admitTimed          admitTimed  clocked
//	closed, with CountInFlight      ask                 ask         reported
//	closed, in slow start           ask, then usual     as above    as above
//	disabled                        ask                 ask         reported
//	open                            refuse              -           -
//	open, with Observe or a fuse    ask                 -           -
//	half-open                       ask                 -           reported
type episode struct {
	path    atomic.Uint32 // how a call gets in
	usual   uint32        // path after the slow start
	success uint32        // what a good call costs that holds no place
	plain   bool          // success is counted, and there is no Classify
	row     row
	slow    time.Duration // Config.Slow, if positive
	window  *window       // the breaker's, or nil if no trigger needs it
	shift   uint32        // of the numbers of its steps
	refusal *Error        // what a call gets that is refused, if one can be
	b       *Breaker
	epoch   time.Time // Breaker.epoch

	state      State
	disabled   bool
	generation uint64
	began      time.Duration
	reason     string
	asked      atomic.Int64 // until when a Retry-After asks to wait; 0: none does

	inflight *inflight // nil unless CountInFlight
	starting atomic.Bool
	running  atomic.Int64 // calls admitted in slow start and not done
	share    float64      // of a call, granted by the slow start and not used

	reopen time.Duration // Open: when trials begin; 0: never
	trials *trials       // HalfOpen; and Closed, those that closed it
}

// The paths.
const (
	ask        uint32 = iota // Breaker.ask knows
	admit                    // at once
	admitTimed               // at once, with a look at the clock
	refuse                   // at once
)

// What a success costs.
const (
	reported uint32 = iota // Breaker.settle
	clocked                // a look at the clock, and a place in the window
	counted                // a place in the totals
)

// judges reports whether calls that are no trials may open the breaker.
func (e *episode) judges() bool { return e.state == Closed && !e.disabled }

// count counts a call that ended at now, in the window if there is one.
func (e *episode) count(now time.Duration, k kind) {
	if e.window != nil {
		e.window.add(now, e.shift, k)
	} else {
		e.b.window.count(k)
	}
}

// takeBack removes a good call that was counted at that time.
func (e *episode) takeBack(at time.Duration) {
	if e.window != nil {
		e.window.takeBack(at, e.shift)
	} else {
		e.b.window.uncount()
	}
}

// sum returns what is in the window at now, which there is.
func (e *episode) sum(now time.Duration) counts { return e.window.sum(now, e.shift) }

// postpone keeps the latest time that a server has asked for.
func (e *episode) postpone(until time.Duration) {
	for {
		old := e.asked.Load()
		if int64(until) <= old || e.asked.CompareAndSwap(old, int64(until)) {
			return
		}
	}
}

// add is a+b, or the most there is.
func add(a, b time.Duration) time.Duration {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// verdict returns why a closed breaker must open; "" if it need not.
func (b *Breaker) verdict(e *episode, now time.Duration) string {
	n := e.row.len()
	if b.cfg.Consecutive > 0 && n >= b.cfg.Consecutive {
		return fmt.Sprintf("%d calls in a row failed or were slow", n)
	}
	if e.window == nil {
		return ""
	}
	c := e.sum(now)
	overdue, running := 0, ""
	if e.inflight != nil {
		if overdue = e.inflight.overdue(now); overdue > 0 {
			running = fmt.Sprintf(", %d of them still running", overdue)
		}
		c[slow] += overdue
	}
	if n += overdue; b.cfg.AllFailed > 0 && c[good] == 0 && n >= b.cfg.AllFailed {
		return fmt.Sprintf("the last %d calls failed or were slow%s, and none was good in %v", n, running, b.cfg.Window)
	}
	calls, bad := c.calls(), c.bad()
	if b.cfg.FailureRate > 0 && calls >= b.cfg.MinCalls && float64(bad) >= b.cfg.FailureRate*float64(calls) {
		return fmt.Sprintf("%d of %d calls failed or were slow%s", bad, calls, running)
	}
	return ""
}

// trip opens the breaker if e is still its closed episode and why is not "".
func (b *Breaker) trip(ctx context.Context, e *episode, now time.Duration, why string) {
	if why == "" {
		return
	}
	b.mu.Lock()
	if b.current.Load() == e && b.mode == Auto {
		if b.provenLocked(e, now) {
			b.streak = 0
		}
		b.openLocked(ctx, now, b.openTimeLocked(e, now), reason(why), why)
	}
	b.mu.Unlock()
	b.deliver()
}

// A reason is the cause of an opening that nobody has asked for.
type reason string

func (r reason) Error() string { return string(r) }

// provenLocked reports whether the closed episode e has lasted for as long as the
// breaker was open before.
func (b *Breaker) provenLocked(e *episode, now time.Duration) bool { return now-e.began >= b.lastOpen }

// openTimeLocked is how long the breaker opens for after e.
func (b *Breaker) openTimeLocked(e *episode, now time.Duration) time.Duration {
	d := b.cfg.MaxOpenFor
	if b.streak < 62 && b.cfg.OpenFor <= d>>b.streak {
		d = b.cfg.OpenFor << b.streak
	}
	b.streak++
	d -= time.Duration(b.rand() * float64(d) / 5)
	if until := e.asked.Load(); until > 0 {
		d = max(d, time.Duration(until)-now)
	}
	return d
}

// openLocked opens the breaker for d, 0 is for ever. What cause says is why: cause is
// the user's, and not asked with the lock held.
func (b *Breaker) openLocked(ctx context.Context, now, d time.Duration, cause error, why string) {
	e := &episode{state: Open, refusal: &Error{Name: b.cfg.Name, State: Open, Cause: cause}}
	if b.cfg.Observe == nil && (b.set == nil || b.set.limit == 0) {
		e.path.Store(refuse)
	}
	if d > 0 {
		b.lastOpen = d
		e.reopen = add(now, d)
		e.refusal.until = b.epoch.Add(now).Add(d)
	}
	b.beginLocked(ctx, e, now, why)
	if d > 0 {
		b.timer = time.AfterFunc(d, func() { b.reopen(e) })
	}
}

// reopen ends the open episode e when its time is over.
func (b *Breaker) reopen(e *episode) {
	b.mu.Lock()
	if b.current.Load() == e {
		half := &episode{
			state:   HalfOpen,
			trials:  new(trials),
			refusal: &Error{Name: b.cfg.Name, State: HalfOpen, Cause: e.refusal.Cause},
		}
		b.beginLocked(context.Background(), half, time.Since(b.epoch), "its time is over")
	}
	b.mu.Unlock()
	b.deliverAlone()
}

// closeLocked ends a half-open episode, whose trials have succeeded.
func (b *Breaker) closeLocked(ctx context.Context, now time.Duration, t *trials) {
	e := b.closed(Auto)
	e.trials = t
	if b.cfg.SlowStart > 0 {
		e.refusal = &Error{Name: b.cfg.Name, State: Closed}
		e.starting.Store(true)
		e.path.Store(ask)
	}
	b.beginLocked(ctx, e, now, "enough trials succeeded")
}

// closed returns an episode for a mode that admits calls.
func (b *Breaker) closed(m Mode) *episode {
	e := &episode{
		state: Closed, disabled: m == Disabled,
		slow: max(0, b.cfg.Slow),
	}
	if e.disabled {
		return e
	}
	if b.cfg.FailureRate > 0 || b.cfg.AllFailed > 0 {
		e.window = &b.window
	}
	switch {
	case b.cfg.CountInFlight:
		e.inflight = newInflight(b.cfg.Slow)
	case e.slow > 0:
		e.usual, e.success = admitTimed, clocked
	case e.window != nil:
		e.usual, e.success = admit, clocked
	default:
		e.usual, e.success = admit, counted
		e.plain = b.cfg.Classify == nil
	}
	e.path.Store(e.usual)
	return e
}

// beginLocked makes e the current episode.
func (b *Breaker) beginLocked(ctx context.Context, e *episode, now time.Duration, why string) {
	last := b.current.Load()
	e.began, e.b, e.epoch, e.reason = now, b, b.epoch, why
	e.generation = last.generation + 1
	if e.window != nil {
		b.shift += steps
		e.shift = b.shift
	}
	if e.state == Open && last.state != Open {
		b.opened++
	}
	change := Transition{At: b.epoch.Add(now), From: last.state, To: e.state, Reason: why, Counts: last.counts(now)}
	if len(b.history) == maxHistory {
		b.history = append(b.history[:0:0], b.history[1:]...)
	}
	b.history = append(b.history, change)
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if b.set != nil && !b.dropped {
		b.set.changed(last.state, e.state)
	}
	b.current.Store(e)
	if b.cfg.Observe != nil {
		b.events = append(b.events, observed{ctx, Event{Kind: Changed, Name: b.cfg.Name, Transition: change}})
	}
}
