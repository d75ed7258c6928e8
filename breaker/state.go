package breaker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// An episode is the time between two changes of state, and what is counted in it.
// A Permit belongs to the episode in which it was given: what it reports after that
// is counted where nobody looks.
type episode struct {
	path    atomic.Uint32 // how a call is decided about
	usual   uint32        // path when the ramp-up is over
	simple  bool          // Closed, and a good call is only counted
	free    bool          // and not even that
	plain   bool          // free, and there is no Classify
	inARow  atomic.Int64
	slow    time.Duration // Config.Slow, if positive
	window  *window       // nil if no trigger needs it
	refusal *Error        // what a call gets that is refused
	b       *Breaker
	epoch   time.Time // Breaker.epoch

	state      State
	disabled   bool
	generation uint64
	began      time.Duration
	asked      atomic.Int64 // until when a Retry-After asks to wait

	inflight *inflight // nil unless CountInFlight
	ramping  atomic.Bool
	running  atomic.Int64 // calls admitted while ramping and not done
	share    float64      // of a call, admitted by the ramp-up and not used

	reopen            time.Duration // Open: when probing begins; 0: never
	probes            []place       // HalfOpen
	succeeded, failed int
}

// The paths.
const (
	ask        uint32 = iota // Breaker.ask knows
	admit                    // at once
	admitTimed               // at once, with a look at the clock
	refuse                   // at once
)

// A place is that of one probe.
type place struct {
	sequence uint32 // 0: never taken
	expires  time.Duration
	reported bool
}

// postpone keeps the latest time that a server has asked for.
func (e *episode) postpone(until time.Duration) {
	for {
		old := e.asked.Load()
		if int64(until) <= old || e.asked.CompareAndSwap(old, int64(until)) {
			return
		}
	}
}

// reason is the cause of an opening that nobody has asked for.
func reason(format string, args ...any) error { return fmt.Errorf(format, args...) }

// verdict returns why a closed breaker must open, or nil.
func (b *Breaker) verdict(e *episode, now time.Duration) error {
	if b.cfg.Consecutive > 0 {
		if n := e.inARow.Load(); n >= int64(b.cfg.Consecutive) {
			return reason("%d calls in a row failed or were slow", n)
		}
	}
	if e.window == nil {
		return nil
	}
	c := e.window.sum(now)
	overdue := 0
	if e.inflight != nil {
		overdue = e.inflight.overdue(now)
		c[slow] += overdue
	}
	calls := c.calls()
	if b.cfg.AllFailed > 0 && c[good] == 0 && calls >= b.cfg.AllFailed {
		return reason("all of %d calls failed or were slow%s", calls, stillRunning(overdue))
	}
	if calls < b.cfg.MinCalls {
		return nil
	}
	if bad := c.bad(); b.cfg.FailureRate > 0 && float64(bad) >= b.cfg.FailureRate*float64(calls) {
		return reason("%d of %d calls failed or were slow%s", bad, calls, stillRunning(overdue))
	}
	if n := c.slow(); b.cfg.SlowRate > 0 && float64(n) >= b.cfg.SlowRate*float64(calls) {
		return reason("%d of %d calls were slow%s", n, calls, stillRunning(overdue))
	}
	return nil
}

func stillRunning(overdue int) string {
	if overdue == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them still running", overdue)
}

// trip opens the breaker if e is still its closed episode.
func (b *Breaker) trip(ctx context.Context, e *episode, now time.Duration, why error) {
	b.mu.Lock()
	if b.current.Load() == e && b.mode == Auto {
		if now-e.began >= b.lastOpen {
			b.streak = 0
		}
		b.open(ctx, now, b.openTime(e, now), why)
	}
	b.mu.Unlock()
	b.deliver()
}

// openTime is how long the breaker opens for after e; the lock is held.
func (b *Breaker) openTime(e *episode, now time.Duration) time.Duration {
	d := b.cfg.MaxOpenFor
	if b.streak < 62 && b.cfg.OpenFor <= d>>b.streak {
		d = b.cfg.OpenFor << b.streak
	}
	b.streak++
	d -= time.Duration(b.rand() * float64(d) / 5)
	return max(d, time.Duration(e.asked.Load())-now)
}

// open, close and halfOpen begin an episode; the lock is held.

func (b *Breaker) open(ctx context.Context, now, d time.Duration, why error) {
	e := &episode{state: Open, refusal: &Error{Name: b.cfg.Name, State: Open, Cause: why}}
	if b.cfg.Observe == nil && (b.set == nil || b.set.limit == 0) {
		e.path.Store(refuse)
	}
	if d > 0 {
		b.lastOpen = d
		e.reopen = now + d
		e.refusal.until = b.epoch.Add(e.reopen)
	}
	b.begin(ctx, e, now, why.Error())
	if d > 0 {
		b.timer = time.AfterFunc(d, func() { b.reopen(e) })
	}
}

func (b *Breaker) close(ctx context.Context, now time.Duration, why string) {
	e := b.closed(b.mode)
	if b.mode == Auto && b.cfg.RampUp > 0 {
		e.ramping.Store(true)
		e.path.Store(ask)
	}
	b.begin(ctx, e, now, why)
}

// closed returns an episode for a mode that admits calls.
func (b *Breaker) closed(m Mode) *episode {
	e := &episode{
		state: Closed, disabled: m == Disabled,
		slow: max(0, b.cfg.Slow), refusal: &Error{Name: b.cfg.Name, State: Closed},
	}
	if !e.disabled {
		counting := b.cfg.FailureRate > 0 || b.cfg.SlowRate > 0 || b.cfg.AllFailed > 0
		if e.simple = !b.cfg.CountInFlight; e.simple {
			if e.usual = admit; e.slow > 0 {
				e.usual = admitTimed
			}
			e.free = e.slow == 0 && !counting
			e.plain = e.free && b.cfg.Classify == nil
			e.path.Store(e.usual)
		}
		if counting {
			e.window = newWindow(max(1, b.cfg.Window/steps))
		}
		if b.cfg.CountInFlight {
			e.inflight = newInflight(b.cfg.Slow)
		}
	}
	return e
}

// reopen ends the open episode e when its time is over.
func (b *Breaker) reopen(e *episode) {
	b.mu.Lock()
	if b.current.Load() == e {
		half := &episode{
			state:   HalfOpen,
			probes:  make([]place, b.cfg.Probes),
			refusal: &Error{Name: b.cfg.Name, State: HalfOpen, Cause: e.refusal.Cause},
		}
		b.begin(context.Background(), half, time.Since(b.epoch), "its time is over")
	}
	b.mu.Unlock()
	b.deliver()
}

// begin makes e the current episode; the lock is held.
func (b *Breaker) begin(ctx context.Context, e *episode, now time.Duration, why string) {
	last := b.current.Load()
	e.began, e.b, e.epoch = now, b, b.epoch
	e.generation = last.generation + 1
	change := Transition{At: b.epoch.Add(now), From: last.state, To: e.state, Reason: why}
	if last.window != nil {
		c := last.window.sum(now)
		change.Calls, change.Failed, change.Slow = c.calls(), c.failed(), c.slow()
	} else if last.state == HalfOpen {
		change.Calls, change.Failed = last.succeeded+last.failed, last.failed
	}
	if len(b.history) == maxHistory {
		b.history = append(b.history[:0:0], b.history[1:]...)
	}
	b.history = append(b.history, change)
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if b.set != nil && (last.state == Closed) != (e.state == Closed) {
		b.set.changed(b, e.state != Closed)
	}
	b.current.Store(e)
	if b.cfg.Observe != nil {
		b.events = append(b.events, observed{ctx, Event{Kind: Changed, Name: b.cfg.Name, Transition: change}})
	}
}

// A Mode says who decides about the state.
type Mode uint8

const (
	// Auto: the breaker does. It is the mode at first.
	Auto Mode = iota
	// ForcedOpen refuses all calls.
	ForcedOpen
	// ForcedClosed admits all calls and still counts them.
	ForcedClosed
	// Disabled admits all calls and does nothing else.
	Disabled
)

func (m Mode) String() string {
	if m > Disabled {
		return fmt.Sprintf("Mode(%d)", uint8(m))
	}
	return [...]string{"auto", "forced open", "forced closed", "disabled"}[m]
}

var errForced = errors.New("forced open")

// Force changes the mode. The breaker begins anew in it: with empty counts and, in
// Auto, closed. It panics if m is not a mode.
func (b *Breaker) Force(m Mode) {
	if m > Disabled {
		panic(fmt.Sprintf("breaker: Force: %v is not a mode", m))
	}
	b.mu.Lock()
	b.mode, b.streak = m, 0
	now := time.Since(b.epoch)
	if m == ForcedOpen {
		b.open(context.Background(), now, 0, errForced)
	} else {
		b.begin(context.Background(), b.closed(m), now, "set to "+m.String())
	}
	b.mu.Unlock()
	b.deliver()
}

// Trip opens the breaker for d, and then it probes as after any opening; cause is
// found in the errors of the calls it refuses. A d of 0 or less means OpenFor. In
// a mode other than Auto, Trip does nothing.
func (b *Breaker) Trip(d time.Duration, cause error) {
	b.mu.Lock()
	if b.mode == Auto {
		if d <= 0 {
			d = b.cfg.OpenFor
		}
		if cause == nil {
			cause = errors.New("tripped by hand")
		}
		b.open(context.Background(), time.Since(b.epoch), d, cause)
	}
	b.mu.Unlock()
	b.deliver()
}

// Reset closes the breaker at once, without ramp-up, and forgets what it counted.
// It is the same as Force(Auto).
func (b *Breaker) Reset() { b.Force(Auto) }
