package loadbalance

import (
	"context"
	"fmt"
)

// A Kind says what an [Event] tells.
type Kind uint8

const (
	// Changed: the state of an endpoint has changed.
	Changed Kind = iota
	// Updated: there is a new set of endpoints.
	Updated
	// SourceFailed: the source had an error in place of a set, or a set with errors.
	SourceFailed
	// Drained: an endpoint that is no longer in the set has no call in flight any
	// more. Whatever belongs to its Value can be closed.
	Drained
	// Panicked: the share of healthy endpoints has fallen below Config.Panic, so
	// that health is ignored, or is above it again.
	Panicked
	// Refused: a pick was refused.
	Refused
)

func (k Kind) String() string {
	if k > Refused {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"changed", "updated", "source failed", "drained", "panicked", "refused"}[k]
}

// Event is what Config.Observe is told.
type Event struct {
	Kind   Kind   // says which of the others are set
	Key    string // Changed, Drained: of the endpoint
	Value  any    // Changed, Drained: of the endpoint
	From   State  // Changed
	To     State  // Changed
	Reason string // Changed: why
	Size   int    // Updated: the number of endpoints
	Panic  bool   // Panicked: whether health is ignored now
	Err    error  // SourceFailed, Refused
}

// observed is an event that waits for its delivery.
type observed struct {
	ctx context.Context
	Event
}

// tell files an event. The lock is held.
func (c *core) tell(ctx context.Context, e Event) {
	if c.cfg.Observe != nil {
		c.events = append(c.events, observed{ctx, e})
	}
}

// unlock gives back the lock, and then tells what has happened, in order,
// whichever goroutines have caused it.
func (c *core) unlock() {
	refresh := c.refresh != nil && c.trouble
	c.trouble = false
	defer c.mu.Unlock()
	for !c.delivering && len(c.events) > 0 {
		c.deliverOne()
	}
	if refresh {
		c.mu.Unlock()
		defer c.mu.Lock()
		c.refresh()
	}
}

func (c *core) deliverOne() {
	next := c.events[0]
	c.events = c.events[1:]
	c.delivering = true
	c.mu.Unlock()
	defer func() { // also if Observe panics
		c.mu.Lock()
		c.delivering = false
	}()
	c.cfg.Observe(next.ctx, next.Event)
}
