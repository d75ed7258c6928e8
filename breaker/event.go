package breaker

import (
	"context"
	"fmt"
)

// A Kind says what an [Event] tells.
type Kind uint8

const (
	// Changed: the state has changed.
	Changed Kind = iota
	// Refused: a call was refused.
	Refused
	// Overruled: a call was admitted though the breaker is open, because too large
	// a part of its Set is.
	Overruled
)

func (k Kind) String() string {
	if k > Overruled {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"changed", "refused", "overruled"}[k]
}

// Event is what Config.Observe is told.
type Event struct {
	Kind       Kind       // says which of the others are set
	Name       string     // Config.Name
	Transition Transition // Changed
	Err        *Error     // Refused
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
// caused them. The lock is not held meanwhile.
func (b *Breaker) deliver() {
	if b.cfg.Observe == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.delivering && len(b.events) > 0 {
		b.deliverOne()
	}
}

func (b *Breaker) deliverOne() {
	next := b.events[0]
	b.events = b.events[1:]
	b.delivering = true
	b.mu.Unlock()
	defer func() { // also if Observe panics
		b.mu.Lock()
		b.delivering = false
	}()
	b.cfg.Observe(next.ctx, next.Event)
}
