package breaker

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// A Kind says what an [Event] tells.
type Kind uint8

const (
	// Changed: the state has changed.
	Changed Kind = iota
	// Refused: a call was refused.
	Refused
	// Overruled: a call was admitted that the breaker would have refused, because
	// too many breakers of its Set are not closed.
	Overruled
)

func (k Kind) String() string {
	if k > Overruled {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"changed", "refused", "overruled"}[k]
}

// MarshalText returns what String does.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is what Config.Observe is told.
type Event struct {
	Kind       Kind       // says which of the others are set
	Name       string     // Config.Name
	Transition Transition // Changed
	Err        error      // Refused: the *Error that the caller gets
}

// LogValue shows what applies to the event's Kind.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind.String())}
	if e.Name != "" {
		attrs = append(attrs, slog.String("name", e.Name))
	}
	if e.Kind == Changed {
		attrs = append(attrs, e.Transition.attrs()...)
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("err", e.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// A Transition is a change of state, with what was counted in the state that ended:
// the calls in the window of a closed breaker, the trials of a half-open one.
type Transition struct {
	At       time.Time // when it happened
	From, To State     // the states before and after
	Reason   string    // in words
	Counts
}

// LogValue shows all but the time, and counts only if there are any.
func (t Transition) LogValue() slog.Value { return slog.GroupValue(t.attrs()...) }

func (t Transition) attrs() []slog.Attr {
	return append([]slog.Attr{
		slog.String("from", t.From.String()), slog.String("to", t.To.String()), slog.String("reason", t.Reason),
	}, t.Counts.attrs()...)
}

// observed is an event that waits for its delivery.
type observed struct {
	ctx context.Context
	Event
}

func (b *Breaker) observe(ctx context.Context, e Event) {
	if b.cfg.Observe != nil {
		b.cfg.Observe(ctx, e)
	}
}

// deliver tells the changes of state, in their order, whichever goroutines have
// caused them. One goroutine at a time tells, and holds no lock.
func (b *Breaker) deliver() {
	if b.cfg.Observe == nil {
		return
	}
	for b.deliverOne() {
	}
}

// deliverOne reports whether there was something to tell.
func (b *Breaker) deliverOne() bool {
	next, ok := b.takeEvent()
	if !ok {
		return false
	}
	defer func() { // also if Observe panics
		b.mu.Lock()
		defer b.mu.Unlock()
		b.delivering = false
	}()
	b.cfg.Observe(next.ctx, next.Event)
	return true
}

func (b *Breaker) takeEvent() (next observed, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.delivering || len(b.events) == 0 {
		return next, false
	}
	next, b.events = b.events[0], b.events[1:]
	b.delivering = true
	return next, true
}

// deliverAlone is deliver on the goroutine of a timer, where nobody could recover
// from a panic of Observe: it is dropped, and counted.
func (b *Breaker) deliverAlone() {
	if b.cfg.Observe == nil {
		return
	}
	for more := true; more; {
		func() {
			returned := false
			defer func() {
				if !returned { // a runtime.Goexit counts, too
					recover()
					b.panics.Add(1)
				}
			}()
			more = b.deliverOne()
			returned = true
		}()
	}
}
