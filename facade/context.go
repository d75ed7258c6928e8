package facade

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// lazy is a context that derives one of package context's from its parent only when
// somebody asks for Done, or it has ended: a part that does not wait costs no timer
// and no place in its parent's list.
type lazy struct {
	parent   context.Context // the caller's, or that of the run
	deadline time.Time       // zero: that of parent
	up       timeout         // the cause then

	mu      sync.Mutex
	ended   error // the cause
	derived context.Context
	end     context.CancelCauseFunc
	stop    context.CancelFunc
}

// Deadline returns that of the part, or else the caller's.
func (l *lazy) Deadline() (time.Time, bool) {
	if l.deadline.IsZero() {
		return l.parent.Deadline()
	}
	return l.deadline, true
}

// Done returns the channel of what is derived.
func (l *lazy) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deriveLocked().Done()
}

// Err derives nothing as long as there is no end.
func (l *lazy) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.derived == nil && l.ended == nil && l.parent.Err() == nil && (l.deadline.IsZero() || time.Now().Before(l.deadline)) {
		return nil
	}
	return l.deriveLocked().Err()
}

// Value also finds what package context looks for: its own, that is derived.
func (l *lazy) Value(key any) any { return l.base().Value(key) }

// String keeps printers from looking inside, which would be a race.
func (l *lazy) String() string   { return "facade: context of a call" }
func (l *lazy) GoString() string { return l.String() }

func (l *lazy) base() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.derived != nil {
		return l.derived
	}
	return l.parent
}

// cancel ends l, unless it has ended.
func (l *lazy) cancel(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = cause
		l.finishLocked()
	}
}

// expired reports whether it was the deadline that ended l.
func (l *lazy) expired() bool { return l.Err() == context.DeadlineExceeded }

func (l *lazy) deriveLocked() context.Context {
	if l.derived != nil {
		return l.derived
	}
	if l.deadline.IsZero() {
		l.derived, l.end = context.WithCancelCause(l.parent)
	} else {
		l.derived, l.stop = context.WithDeadlineCause(l.parent.(*lazy).derive(), l.deadline, &l.up)
	}
	if l.ended != nil {
		l.finishLocked()
	}
	return l.derived
}

func (l *lazy) derive() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deriveLocked()
}

// finishLocked ends what is derived.
func (l *lazy) finishLocked() {
	switch {
	case l.end != nil:
		l.end(l.ended)
	case l.stop != nil:
		l.stop()
	}
}

func (c *cell) context() *lazy {
	if c.timed != nil {
		return c.timed
	}
	return &c.run.ctx
}

// A cell is the context of its part's function.

func (c *cell) Deadline() (time.Time, bool) { return c.context().Deadline() }
func (c *cell) Err() error                  { return c.context().Err() }

// Done is that of lazy, written out: often it is called first on a new stack, which
// has no room for many frames.
func (c *cell) Done() <-chan struct{} {
	l := c.context()
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.derived
	if d == nil {
		d = l.deriveLocked()
	}
	return d.Done()
}

func (c *cell) Value(key any) any {
	if _, ok := key.(partKey); ok {
		return c
	}
	return c.context().Value(key)
}

// String keeps printers from looking inside, which would be a race.
func (c *cell) String() string   { return fmt.Sprintf("facade: context of part %q", c.name()) }
func (c *cell) GoString() string { return c.String() }

func (c *cell) index() int32 {
	for i := range c.run.cells {
		if c == &c.run.cells[i] {
			return int32(i)
		}
	}
	panic("facade: a cell of another call")
}

func (c *cell) name() string { return c.run.plan.nodes[c.index()].name }
