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
	return appendCounts(nil, count{"calls", uint64(c.Calls)}, count{"failed", uint64(c.Failed)}, count{"slow", uint64(c.Slow)})
}

type count struct {
	name string
	n    uint64
}

// appendCounts appends those that are not zero.
func appendCounts(attrs []slog.Attr, counts ...count) []slog.Attr {
	for _, c := range counts {
		if c.n > 0 {
			attrs = append(attrs, slog.Uint64(c.name, c.n))
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
		c := e.sum(now)
		return Counts{c.calls(), c.failed(), c.slow()}
	}
	return Counts{}
}

// Stats is a snapshot of a [Breaker], for metrics, health pages and people.
//
// The counters begin when the breaker is made. Nothing resets them, and they never
// fall, so that a metrics system can take them as they are. They are exact as soon as
// no call is under way: a call counts whatever the state and the mode are when it ends.
// One that was answered well, as [Permit.Answered] says, counts in Calls from then on,
// and in Failed when its response breaks off.
type Stats struct {
	Name       string    // Config.Name
	State      State     // as State returns it
	Mode       Mode      // set with Force
	Generation uint64    // grows with each change of state
	Since      time.Time // when the state began
	NextTrial  time.Time // when an open breaker begins its trials; zero: never, or not open

	Calls     uint64 // calls that were let through and have ended
	Failed    uint64 // of them
	Slow      uint64 // of them; a call can be both failed and slow
	Ignored   uint64 // of them, calls that said nothing about the backend
	Refused   uint64 // calls that were not let through
	Overruled uint64 // calls let through that would have been refused; see SetConfig.MaxOpenFraction
	Trials    uint64 // calls let through as trials
	Opened    uint64 // how often the breaker opened from another state

	Window  Counts // what is in the window of a closed breaker, or the trials of a half-open one
	InARow  int    // failed or slow calls since the last good one, of a closed breaker
	Overdue int    // calls that have been running for longer than Slow, with CountInFlight

	Reason      string       // why the breaker is open, or why it is not
	Transitions []Transition // the last 16, the oldest first
	Panics      uint64       // of Observe, where nobody could recover from them
}

// LogValue shows the state and its reason, and of the rest what is not zero. Window is
// a group. The transitions are left out.
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
	attrs = appendCounts(attrs, count{"calls", s.Calls}, count{"failed", s.Failed}, count{"slow", s.Slow},
		count{"ignored", s.Ignored}, count{"refused", s.Refused}, count{"overruled", s.Overruled},
		count{"trials", s.Trials}, count{"opened", s.Opened})
	if w := s.Window.attrs(); len(w) > 0 {
		attrs = append(attrs, slog.GroupAttrs("window", w...))
	}
	attrs = appendCounts(attrs, count{"in_a_row", uint64(s.InARow)}, count{"overdue", uint64(s.Overdue)}, count{"panics", s.Panics})
	return slog.GroupValue(append(attrs, slog.String("reason", s.Reason))...)
}

// SetStats is a snapshot of a [Set]. Its counters begin when the Set is made, and never
// fall. What the breakers count is in the Stats of each.
type SetStats struct {
	Name string // SetConfig.Name
	Keys int    // breakers
	Open int    // of them, those that are open or half-open

	Evicted   uint64 // breakers that had to make room for others
	Overruled uint64 // calls let through that would have been refused, by any breaker it ever had
}

// LogValue shows what is not zero.
func (s SetStats) LogValue() slog.Value {
	var attrs []slog.Attr
	if s.Name != "" {
		attrs = append(attrs, slog.String("name", s.Name))
	}
	attrs = appendCounts(attrs, count{"keys", uint64(s.Keys)}, count{"open", uint64(s.Open)},
		count{"evicted", s.Evicted}, count{"overruled", s.Overruled})
	return slog.GroupValue(attrs...)
}

// Stats returns a snapshot. It costs the same whatever the number of breakers is.
func (s *Set[K]) Stats() SetStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SetStats{
		Name:      s.cfg.Name,
		Keys:      int(s.fuse.size.Load()),
		Open:      int(s.fuse.tripped.Load()),
		Evicted:   s.evicted,
		Overruled: s.fuse.overruled.Load(),
	}
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
	b.countLocked(&s)
	s.Reason = b.whyLocked(e, s)
	if e.state == Open && e.reopen > 0 {
		s.NextTrial = b.epoch.Add(e.reopen)
	}
	return s
}

// countLocked fills in the counters. While calls end, a sum may be too small,
// and is then what it was last time.
func (b *Breaker) countLocked(s *Stats) {
	n := b.window.total()
	failed := n[failed] + n[slowAndFailed]
	s.Calls = risen(&b.told.calls, n[good]+n[slow]+failed+n[ignored])
	s.Failed = risen(&b.told.failed, failed)
	s.Slow = risen(&b.told.slow, n[slow]+n[slowAndFailed])
	s.Ignored, s.Refused, s.Overruled = n[ignored], n[refused], n[overruled]
	s.Trials, s.Opened = b.tries, b.opened
}

// risen returns n or, if that is less, what it was last time. A sum may be below zero,
// if a good call was taken back that is missing.
func risen(last *uint64, n uint64) uint64 {
	if int64(n-*last) > 0 {
		*last = n
	}
	return *last
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
