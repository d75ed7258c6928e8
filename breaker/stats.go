package breaker

import (
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// maxHistory is the number of transitions that a breaker remembers.
const maxHistory = 16

// Counts are numbers of calls.
type Counts struct {
	Calls  int // all
	Failed int // of them
	Slow   int // of them; a call can be both failed and slow
}

func (c Counts) attrs() []slog.Attr {
	var attrs []slog.Attr
	for _, n := range []struct {
		name string
		n    int
	}{{"calls", c.Calls}, {"failed", c.Failed}, {"slow", c.Slow}} {
		if n.n > 0 {
			attrs = append(attrs, slog.Int(n.name, n.n))
		}
	}
	return attrs
}

// counts returns what a Transition tells of an episode that ends.
func (e *episode) counts(now time.Duration) Counts {
	switch {
	case e.state == HalfOpen:
		return Counts{Calls: e.trials.succeeded + e.trials.failed, Failed: e.trials.failed}
	case e.window != nil:
		c := e.window.sum(now)
		return Counts{c.calls(), c.failed(), c.slow()}
	}
	return Counts{}
}

// Stats is a snapshot of a [Breaker], for people and health pages.
type Stats struct {
	Name       string    // Config.Name
	State      State     // as State returns it
	Mode       Mode      // set with Force
	Generation uint64    // grows with each change of state
	Since      time.Time // when the state began
	NextTrial  time.Time // when an open breaker begins its trials; zero: never, or not open

	Window  Counts // what is in the window of a closed breaker, or the trials of a half-open one
	InARow  int    // failed or slow calls since the last good one, of a closed breaker
	Overdue int    // calls that have been running for longer than Slow, with CountInFlight

	Reason      string       // why the breaker is open, or why it is not
	Transitions []Transition // the last 16, the oldest first
	Panics      uint64       // of Observe, where nobody could recover from them
}

// LogValue shows the state and its reason, and of the rest what is not zero. The
// transitions are left out.
func (s Stats) LogValue() slog.Value {
	var attrs []slog.Attr
	if s.Name != "" {
		attrs = append(attrs, slog.String("name", s.Name))
	}
	attrs = append(attrs, slog.String("state", s.State.String()))
	if s.Mode != Auto {
		attrs = append(attrs, slog.String("mode", s.Mode.String()))
	}
	attrs = append(attrs, slog.Time("since", s.Since))
	if !s.NextTrial.IsZero() {
		attrs = append(attrs, slog.Time("next_trial", s.NextTrial))
	}
	attrs = append(attrs, s.Window.attrs()...)
	if s.InARow > 0 {
		attrs = append(attrs, slog.Int("in_a_row", s.InARow))
	}
	if s.Overdue > 0 {
		attrs = append(attrs, slog.Int("overdue", s.Overdue))
	}
	if s.Panics > 0 {
		attrs = append(attrs, slog.Uint64("panics", s.Panics))
	}
	return slog.GroupValue(append(attrs, slog.String("reason", s.Reason))...)
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
		Window:      e.counts(now),
		InARow:      e.row.len(),
		Transitions: slices.Clone(b.history),
		Panics:      b.panics.Load(),
	}
	if e.inflight != nil {
		s.Overdue = e.inflight.overdue(now)
	}
	s.Reason = b.whyLocked(e, s)
	if e.state == Open && e.reopen > 0 {
		s.NextTrial = b.epoch.Add(e.reopen)
	}
	return s
}

// whyLocked explains the state.
func (b *Breaker) whyLocked(e *episode, s Stats) (why string) {
	switch c := &b.cfg; {
	case b.mode == ForcedClosed || b.mode == Disabled:
		return b.mode.String()
	case e.state == Open:
		return e.reason
	case e.state == HalfOpen:
		return fmt.Sprintf("%d of %d trials succeeded, %d are needed", e.trials.succeeded, c.Trials, c.TrialsNeeded)
	case c.AllFailed > 0 && s.InARow > 0 && s.InARow >= s.Window.Calls:
		why = fmt.Sprintf("the last %d calls failed or were slow, %d would open it", s.InARow, c.AllFailed)
	case c.FailureRate > 0 && s.Window.Calls < c.MinCalls:
		why = fmt.Sprintf("%d of at least %d calls in the window", s.Window.Calls, c.MinCalls)
	case e.window != nil:
		why = fmt.Sprintf("%d of %d calls failed, %d were slow", s.Window.Failed, s.Window.Calls, s.Window.Slow)
	case c.Consecutive > 0:
		why = fmt.Sprintf("the last %d calls failed or were slow, %d would open it", s.InARow, c.Consecutive)
	default:
		why = "nothing opens it but Trip and Force"
	}
	if e.starting.Load() {
		why += "; in slow start"
	}
	return why
}
