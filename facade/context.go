package facade

import (
	"context"
	"sync"
	"time"
)

// partKey finds the cell of the part that a context was made for.
type partKey struct{}

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

// derive is called with the lock held.
func (l *lazy) derive() context.Context {
	if l.derived != nil {
		return l.derived
	}
	if l.deadline.IsZero() {
		l.derived, l.end = context.WithCancelCause(l.parent)
	} else {
		l.derived, l.stop = context.WithDeadlineCause(l.above(), l.deadline, &l.up)
	}
	if l.ended != nil {
		l.finish()
	}
	return l.derived
}

// above returns what the run's context has derived.
func (l *lazy) above() context.Context {
	r := l.parent.(*lazy)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.derive()
}

// finish ends what is derived. It is called with the lock held.
func (l *lazy) finish() {
	switch {
	case l.end != nil:
		l.end(l.ended)
	case l.stop != nil:
		l.stop()
	}
}

func (l *lazy) Deadline() (time.Time, bool) {
	if l.deadline.IsZero() {
		return l.parent.Deadline()
	}
	return l.deadline, true
}

func (l *lazy) Done() <-chan struct{} {
	l.mu.Lock()
	c := l.derive()
	l.mu.Unlock()
	return c.Done()
}

func (l *lazy) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.derived == nil && l.ended == nil && l.parent.Err() == nil && (l.deadline.IsZero() || time.Now().Before(l.deadline)) {
		return nil
	}
	return l.derive().Err()
}

func (l *lazy) Value(key any) any {
	l.mu.Lock()
	c := l.derived
	l.mu.Unlock()
	if c == nil {
		c = l.parent
	}
	return c.Value(key) // package context looks for its own
}

// cancel ends l, unless it has ended.
func (l *lazy) cancel(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = cause
		l.finish()
	}
}

// expired reports whether it was the deadline that ended l.
func (l *lazy) expired() bool { return l.Err() == context.DeadlineExceeded }

func (c *cell) context() *lazy {
	if c.timed != nil {
		return c.timed
	}
	return &c.run.ctx
}

func (c *cell) Deadline() (time.Time, bool) { return c.context().Deadline() }
func (c *cell) Err() error                  { return c.context().Err() }

// Done is that of lazy, written out: often it is called first on a new stack, which
// has no room for many frames.
func (c *cell) Done() <-chan struct{} {
	l := c.context()
	l.mu.Lock()
	d := l.derived
	if d == nil {
		d = l.derive()
	}
	l.mu.Unlock()
	return d.Done()
}

func (c *cell) Value(key any) any {
	if _, ok := key.(partKey); ok {
		return c
	}
	return c.context().Value(key)
}
