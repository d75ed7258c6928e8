package facade

import (
	"fmt"
	"log/slog"
	"time"
)

// A Kind says what an [Event] tells.
type Kind uint8

const (
	// Called: a call has ended.
	Called Kind = iota
	// Late: what a call has left behind has ended. It is the function of a part,
	// which has been undone where it could be; or an Undo that had outlived its
	// time; or code of a part that has panicked when no caller waited for it.
	Late
)

func (k Kind) String() string {
	if k > Late {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"called", "late"}[k]
}

// MarshalText returns the same as String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is what Config.Observe is told.
type Event struct {
	Kind    Kind          // says which of the others are set
	Name    string        // Config.Name
	Err     error         // Called: an *Error, or nil; Late: of the function
	Begin   time.Time     // of the call; Spans count from it
	Elapsed time.Duration // since then
	Spans   []Span        // Called: of all parts, in the plan's order
	Part    string        // Late
	Undone  bool          // Late
	Undo    error         // Late: why it could not be undone
}

// LogValue returns the fields that apply, as a group. Of the spans it has those that
// are not OK.
func (e Event) LogValue() slog.Value {
	attrs := append([]slog.Attr{slog.String("kind", e.Kind.String())}, named(e.Name, e.Part)...)
	attrs = append(attrs, slog.Duration("elapsed", e.Elapsed))
	if e.Err != nil {
		attrs = append(attrs, slog.Any("err", e.Err))
	}
	for _, s := range e.Spans {
		if s.Status != OK {
			attrs = append(attrs, slog.Any(s.Part, s))
		}
	}
	if e.Undone {
		attrs = append(attrs, slog.Bool("undone", true))
	}
	if e.Undo != nil {
		attrs = append(attrs, slog.Any("undo", e.Undo))
	}
	return slog.GroupValue(attrs...)
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

// LogValue returns the fields that apply, as a group, without the part's name.
func (s Span) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("status", s.Status.String())}
	if s.Err != nil {
		attrs = append(attrs, slog.Any("err", s.Err))
	}
	attrs = append(attrs, slog.Duration("start", s.Start), slog.Duration("end", s.End))
	if s.Undone {
		attrs = append(attrs, slog.Bool("undone", true))
	}
	if s.Critical {
		attrs = append(attrs, slog.Bool("critical", true))
	}
	return slog.GroupValue(attrs...)
}

// observe tells Observe that the call has ended.
func (r *run) observe(e *Error) {
	if r.plan.cfg.Observe == nil {
		return
	}
	event := Event{Kind: Called, Name: r.plan.cfg.Name, Begin: r.start, Elapsed: r.now(), Spans: r.spans()}
	if e != nil {
		event.Err = e
	}
	r.plan.markCritical(event.Spans, r.failed)
	r.plan.cfg.Observe(r.ctx.parent, event)
}

func (r *run) spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := make([]Span, len(r.cells))
	for i := range r.cells {
		c := &r.cells[i]
		spans[i] = Span{
			Part:   r.plan.nodes[i].name,
			Status: c.status,
			Err:    c.err,
			Start:  c.begun,
			End:    c.ended,
			Undone: c.undone,
		}
	}
	return spans
}

// markCritical marks the part that has failed the call, or else the one that ended
// last; of those it needs the one that ended last; and so on.
func (p *plan) markCritical(spans []Span, failed string) {
	last := 0
	for i := range spans {
		if spans[i].Part == failed {
			last = i
			break
		}
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
