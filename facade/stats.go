package facade

import "log/slog"

// Stats is a snapshot of a [Facade]. Its counters begin with the Facade, and never fall.
type Stats struct {
	Name     string      // Config.Name
	InFlight int         // calls, now
	Calls    uint64      // that have ended
	Failed   uint64      // of Calls
	Partial  uint64      // of Calls: those that succeeded, though something was missing
	Refused  uint64      // calls whose context had ended before; not among Calls
	Panics   uint64      // of Observe, where they could not reach a caller; exits count, too
	Parts    []PartStats // in the plan's order
}

// LogValue returns the counters that are not zero, as a group.
func (s Stats) LogValue() slog.Value {
	attrs := named(s.Name, "")
	if s.InFlight > 0 {
		attrs = append(attrs, slog.Int("in_flight", s.InFlight))
	}
	attrs = append(attrs, counters([]string{"calls", "failed", "partial", "refused", "panics"},
		s.Calls, s.Failed, s.Partial, s.Refused, s.Panics)...)
	for _, p := range s.Parts {
		attrs = append(attrs, slog.Any(p.Part, p))
	}
	return slog.GroupValue(attrs...)
}

// PartStats count how a part has ended. They have no count of parts that were not
// needed. The name is the plan's, and safe as a label of metrics.
type PartStats struct {
	Part      string // its name
	OK        uint64 // calls in which the part ended so
	FellBack  uint64 // the same
	Failed    uint64 // the same
	Skipped   uint64 // the same
	Cancelled uint64 // the same
	Left      uint64 // calls that left the function behind, however the part ended
}

// LogValue returns the counters that are not zero, as a group.
func (p PartStats) LogValue() slog.Value {
	return slog.GroupValue(counters([]string{"ok", "fell_back", "failed", "skipped", "cancelled", "left"},
		p.OK, p.FellBack, p.Failed, p.Skipped, p.Cancelled, p.Left)...)
}

func counters(names []string, values ...uint64) (attrs []slog.Attr) {
	for i, v := range values {
		if v > 0 {
			attrs = append(attrs, slog.Uint64(names[i], v))
		}
	}
	return attrs
}

// Stats returns a snapshot.
func (f *Facade[In, Out]) Stats() Stats {
	f.must("Stats")
	p := f.plan
	s := Stats{
		Name:     p.cfg.Name,
		InFlight: int(p.inFlight.Load()),
		Failed:   p.failed.Load(), // before Calls, which is never less
		Partial:  p.partial.Load(),
		Calls:    p.calls.Load(),
		Refused:  p.refused.Load(),
		Panics:   p.panics.Load(),
		Parts:    make([]PartStats, len(p.nodes)),
	}
	for i := range p.nodes {
		c := &p.counts[i]
		s.Parts[i] = PartStats{
			Part:      p.nodes[i].name,
			OK:        c.ended[OK].Load(),
			FellBack:  c.ended[FellBack].Load(),
			Failed:    c.ended[Failed].Load(),
			Skipped:   c.ended[Skipped].Load(),
			Cancelled: c.ended[Cancelled].Load(),
			Left:      c.left.Load(),
		}
	}
	return s
}

// count adds a call to the statistics.
func (r *run) count(failed bool) {
	p := r.plan
	partial := false
	for i := range r.cells {
		c := &r.cells[i]
		if c.status != OK {
			if c.unneeded {
				continue
			}
			partial = true
		}
		p.counts[i].ended[c.status].Add(1)
	}
	p.inFlight.Add(-1)
	p.calls.Add(1)
	if failed {
		p.failed.Add(1)
	} else if partial {
		p.partial.Add(1)
	}
}
