package loadbalance

import (
	"context"
	"fmt"
	"log/slog"
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
	// that health is ignored, or it is above that again.
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

// MarshalText implements [encoding.TextMarshaler].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is what Config.Observe is told.
type Event struct {
	Kind   Kind   // says which of the fields below are set
	Name   string // Config.Name
	Key    string // Changed, Drained: of the endpoint
	Value  any    // Changed, Drained: of the endpoint
	From   State  // Changed
	To     State  // Changed
	Reason string // Changed: why
	Size   int    // Updated: the number of endpoints
	Panic  bool   // Panicked: whether health is ignored now
	Err    error  // SourceFailed, Refused
}

// LogValue implements [slog.LogValuer]: the fields that apply to the Kind, but for the
// Value, which may hold what does not belong into a log.
func (e Event) LogValue() slog.Value {
	attrs := append([]slog.Attr{slog.String("kind", e.Kind.String())}, named(e.Name)...)
	switch e.Kind {
	case Changed:
		attrs = append(attrs, slog.String("key", e.Key), slog.String("from", e.From.String()), slog.String("to", e.To.String()), slog.String("reason", e.Reason))
	case Updated:
		attrs = append(attrs, slog.Int("size", e.Size))
	case Drained:
		attrs = append(attrs, slog.String("key", e.Key))
	case Panicked:
		attrs = append(attrs, slog.Bool("panic", e.Panic))
	case SourceFailed, Refused:
		attrs = append(attrs, slog.Any("err", e.Err))
	}
	return slog.GroupValue(attrs...)
}

// observed is an event that waits for its delivery.
type observed struct {
	ctx context.Context
	Event
}

// tellLocked files an event.
func (c *core) tellLocked(ctx context.Context, e Event) {
	if c.cfg.Observe != nil {
		e.Name = c.cfg.Name
		c.events = append(c.events, observed{ctx, e})
	}
}

// deliver tells what has happened, in order, whichever goroutines have caused it, and
// tells the source of trouble. It is called after each change, without the lock.
func (c *core) deliver() {
	if c.cfg.Observe == nil && c.refresh == nil {
		return
	}
	if c.takeTrouble() {
		defer c.refresh()
	}
	for {
		next, ok := c.nextEvent()
		if !ok {
			return
		}
		c.deliverOne(next)
	}
}

// deliverApart is deliver on goroutines of the balancer's, where a panic or exit of
// Observe has no caller to reach: it is dropped, and counted.
func (c *core) deliverApart() {
	if c.cfg.Observe == nil {
		c.deliver()
		return
	}
	for <-c.launch(func() error { c.deliver(); return nil }) != nil {
		c.panics.Add(1)
	}
}

func (c *core) takeTrouble() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	trouble := c.trouble
	c.trouble = false
	return trouble && c.refresh != nil
}

// nextEvent takes an event, unless another goroutine is at it.
func (c *core) nextEvent() (observed, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delivering || len(c.events) == 0 {
		return observed{}, false
	}
	next := c.events[0]
	c.events = c.events[1:]
	c.delivering = true
	return next, true
}

func (c *core) deliverOne(e observed) {
	defer func() { // also if Observe panics
		c.mu.Lock()
		defer c.mu.Unlock()
		c.delivering = false
	}()
	c.cfg.Observe(e.ctx, e.Event)
}
