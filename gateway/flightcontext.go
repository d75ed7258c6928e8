package gateway

import (
	"context"
	"sync"
	"time"
)

// flightContext is the context that the function of a flight gets. It answers
// flightKey with itself, so that a flight finds out who is in it.
type flightContext interface {
	context.Context
	outer() context.Context // the leader's, which may be of another flight
}

type flightKey struct{}

// inlineContext is that of a flight on its leader's goroutine.
type inlineContext struct{ context.Context }

func (c *inlineContext) outer() context.Context { return c.Context }

// Value implements [context.Context].
func (c *inlineContext) Value(key any) any {
	if key == (flightKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// lateContext is that of a flight on its own goroutine: the values of the leader's,
// and an end of its own. Most functions are short and never ask for the end; only
// when one does is there a context of package context behind it.
type lateContext struct {
	leader context.Context

	mu     sync.Mutex
	real   context.Context // nil until somebody asks
	cancel context.CancelFunc
	ended  bool
}

func (c *lateContext) outer() context.Context { return c.leader }

func (c *lateContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended = true; c.cancel != nil {
		c.cancel()
	}
}

// Done implements [context.Context].
func (c *lateContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		if c.real, c.cancel = context.WithCancel(context.WithoutCancel(c.leader)); c.ended {
			c.cancel()
		}
	}
	return c.real.Done()
}

// Err implements [context.Context].
func (c *lateContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Deadline implements [context.Context].
func (c *lateContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements [context.Context]. A derived context asks for Done first, and
// then finds the real context by its value.
func (c *lateContext) Value(key any) any {
	if key == (flightKey{}) {
		return c
	}
	c.mu.Lock()
	ctx := c.real
	c.mu.Unlock()
	if ctx == nil {
		ctx = context.WithoutCancel(c.leader)
	}
	return ctx.Value(key)
}
