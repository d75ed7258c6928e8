package facade

import (
	"fmt"
	"time"
)

// A Kind says what an [Event] tells.
type Kind uint8

const (
	// Called: a call has ended.
	Called Kind = iota
	// Late: the function of a part that a call has left behind has returned, and
	// been undone where it could be.
	Late
)

func (k Kind) String() string {
	if k > Late {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"called", "late"}[k]
}

// Event is what Config.Observe is told.
type Event struct {
	Kind    Kind          // says which of the others are set
	Name    string        // Config.Name
	Err     error         // Called: an *Error, or nil; Late: what the function returned
	Elapsed time.Duration // since the call began
	Spans   []Span        // Called: of all parts, in the plan's order
	Part    string        // Late
	Undone  bool          // Late
	Undo    error         // Late: why it could not be undone
}

// A Span is what became of a part in a call, and when, counted from the call's
// beginning.
type Span struct {
	Part       string        // its name
	Status     Status        // how it ended
	Err        error         // why it is not OK
	Start, End time.Duration // the same if it was not called
	Undone     bool          // in the end
	Critical   bool          // it is on the chain of parts that took the call's time
}

func (r *run) observe(e *Error) {
	if r.plan.cfg.Observe == nil {
		return
	}
	event := Event{Kind: Called, Name: r.plan.cfg.Name, Spans: make([]Span, len(r.cells)), Elapsed: r.now()}
	if e != nil {
		event.Err = e
	}
	r.mu.Lock()
	for i := range r.cells {
		c := &r.cells[i]
		event.Spans[i] = Span{
			Part:   r.plan.nodes[i].name,
			Status: c.status,
			Err:    c.err,
			Start:  c.begun,
			End:    c.ended,
			Undone: c.undone,
		}
	}
	r.mu.Unlock()
	r.plan.critical(event.Spans)
	r.plan.cfg.Observe(r.ctx.parent, event)
}

// critical marks the part that ended last, of those it needs the one that ended
// last, and so on.
func (p *plan) critical(spans []Span) {
	last := 0
	for i := range spans {
		if spans[i].End >= spans[last].End {
			last = i
		}
	}
	for last != input {
		spans[last].Critical = true
		on := input
		for _, e := range p.nodes[last].edges {
			if e.index != input && (on == input || spans[e.index].End > spans[on].End) {
				on = e.index
			}
		}
		last = on
	}
}

func (r *run) observeLate(i int32, err, undo error, undone bool) {
	if r.plan.cfg.Observe != nil {
		r.plan.cfg.Observe(r.ctx.parent, Event{
			Kind:    Late,
			Name:    r.plan.cfg.Name,
			Err:     err,
			Elapsed: r.now(),
			Part:    r.plan.nodes[i].name,
			Undone:  undone,
			Undo:    undo,
		})
	}
}
