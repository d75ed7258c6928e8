package facade

import ()

// Stats is a snapshot of a [Facade].
type Stats struct {
	Calls   uint64      // that have ended
	Failed  uint64      // of them
	Partial uint64      // of them: calls that succeeded, though something was missing
	Parts   []PartStats // in the plan's order
}

// PartStats count how a part has ended. They have no count of parts that were not
// needed. The name is the plan's, and safe as a label of metrics.
type PartStats struct {
	Part      string // its name
	OK        uint64 // calls in which the part ended so
	FellBack  uint64
	Failed    uint64
	Skipped   uint64
	Cancelled uint64
	Left      uint64 // calls that left the function behind, however the part ended
}

// Stats returns a snapshot.
func (f *Facade[In, Out]) Stats() Stats {
	p := f.plan
	s := Stats{Calls: p.calls.Load(), Failed: p.failed.Load(), Partial: p.partial.Load(), Parts: make([]PartStats, len(p.nodes))}
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
			if unneeded(c.err) {
				continue
			}
			partial = true
		}
		p.counts[i].ended[c.status].Add(1)
	}
	p.calls.Add(1)
	if failed {
		p.failed.Add(1)
	} else if partial {
		p.partial.Add(1)
	}
}
