package gateway

import (
	"context"
	"sync"
	"time"
)

// lateContext is a context with the values of another, and an end of its own. It
// becomes one of package context when somebody asks for the end, which short
// functions do not.
type lateContext struct {
	leader context.Context

	mu     sync.Mutex
	real   context.Context // nil until somebody asks
	cancel context.CancelFunc
	ended  bool
}

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

// Value implements [context.Context]. Contexts that are derived, which ask for Done
// first, find the real one by it.
func (c *lateContext) Value(key any) any {
	c.mu.Lock()
	ctx := c.real
	c.mu.Unlock()
	if ctx == nil {
		ctx = context.WithoutCancel(c.leader)
	}
	return ctx.Value(key)
}
