package breaker

import (
	"fmt"
	"slices"
	"time"
)

// maxHistory is the number of transitions that a breaker remembers.
const maxHistory = 16

// A Transition is a change of state, and what was counted in the state that ended:
// the calls in the window of a closed breaker, the probes of a half-open one.
type Transition struct {
	At       time.Time // when it happened
	From, To State     // the states before and after
	Reason   string    // in words

	Calls, Failed, Slow int // a call can be both failed and slow
}

// Stats is a snapshot of a [Breaker], for people and health pages.
type Stats struct {
	Name       string    // Config.Name
	State      State     // as State returns it
	Mode       Mode      // set with Force
	Generation uint64    // grows with each change of state
	Since      time.Time // when the state began
	NextProbe  time.Time // when an open breaker probes; zero: never, or not open

	// What is in the window of a closed breaker, or the probes of a half-open one.
	// A call can be both failed and slow.
	Calls, Failed, Slow int
	InARow              int // failed or slow calls since the last good one
	InFlight            int // calls that run longer than Slow, with CountInFlight

	Reason      string       // why the breaker is open, or why it is not
	Transitions []Transition // the last 16, the oldest first
}

// Stats returns a snapshot.
func (b *Breaker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Since(b.epoch)
	e := b.current.Load()
	s := Stats{
		Name:        b.cfg.Name,
		State:       e.state,
		Mode:        b.mode,
		Generation:  e.generation,
		Since:       b.epoch.Add(e.began),
		InARow:      int(e.inARow.Load()),
		Transitions: slices.Clone(b.history),
	}
	if e.window != nil {
		c := e.window.sum(now)
		s.Calls, s.Failed, s.Slow = c.calls(), c.failed(), c.slow()
	}
	if e.inflight != nil {
		s.InFlight = e.inflight.overdue(now)
	}
	switch {
	case b.mode == ForcedClosed || b.mode == Disabled:
		s.Reason = b.mode.String()
	case e.state == Open:
		s.Reason = e.refusal.Cause.Error()
		if e.reopen > 0 {
			s.NextProbe = b.epoch.Add(e.reopen)
		}
	case e.state == HalfOpen:
		s.Calls, s.Failed = e.succeeded+e.failed, e.failed
		s.Reason = fmt.Sprintf("%d of %d probes succeeded, %d are needed", e.succeeded, b.cfg.Probes, b.cfg.ProbesNeeded)
	case e.window == nil:
		s.Reason = fmt.Sprintf("%d of the last calls failed or were slow, the limit is %d in a row", s.InARow, b.cfg.Consecutive)
	case s.Calls < b.cfg.MinCalls:
		s.Reason = fmt.Sprintf("%d of at least %d calls in the window", s.Calls, b.cfg.MinCalls)
	default:
		s.Reason = fmt.Sprintf("%d of %d calls failed, %d were slow", s.Failed, s.Calls, s.Slow)
	}
	if e.ramping.Load() {
		s.Reason += "; traffic is ramped up"
	}
	return s
}
