package retry

import (
	"context"
	"sync"
)

// An Attempt describes the attempt that a context was made for.
type Attempt struct {
	Number int  // 2 for the first retry or hedge
	Hedge  bool // the attempt was begun by [Hedge], beside others
}

type attemptKey struct{}

// AttemptFrom returns the attempt that ctx was made for; ok is false outside of
// a retry, and in its first attempt.
func AttemptFrom(ctx context.Context) (a Attempt, ok bool) {
	// The value is the context itself, which costs no allocation.
	switch c := ctx.Value(attemptKey{}).(type) {
	case *attemptContext:
		return Attempt{Number: c.number}, true
	case *raceContext:
		return Attempt{Number: c.number, Hedge: true}, true
	}
	return Attempt{}, false
}

// attemptContext is the context of an attempt from the second on.
type attemptContext struct {
	context.Context
	number int
}

func (c *attemptContext) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// newAttemptContext cuts contexts from slabs, a fraction of an allocation for
// each. They are never used twice, as an operation may keep its context.
func newAttemptContext(parent context.Context, number int) context.Context {
	s := slabs.Get().(*slab)
	c := &s.contexts[s.used]
	if s.used++; s.used < len(s.contexts) {
		slabs.Put(s)
	}
	c.Context, c.number = parent, number
	return c
}

type slab struct {
	contexts [16]attemptContext
	used     int
}

var slabs = sync.Pool{New: func() any { return new(slab) }}

// raceContext is the context of one attempt in a race. It does not register with
// its parent until somebody asks for Done.
type raceContext struct {
	context.Context
	number int

	mu      sync.Mutex
	derived context.Context // once Done was asked for
	end     context.CancelCauseFunc
	ended   bool
}

func (c *raceContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.derived == nil {
		c.derived, c.end = context.WithCancelCause(c.Context)
		if c.ended {
			c.end(errBeaten)
		}
	}
	return c.derived.Done()
}

func (c *raceContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.derived != nil {
		return c.derived.Err()
	}
	if err := c.Context.Err(); err != nil || !c.ended {
		return err
	}
	return context.Canceled
}

func (c *raceContext) Value(key any) any {
	if _, ok := key.(attemptKey); ok && c.number > 1 {
		return c
	}
	c.mu.Lock()
	derived := c.derived
	c.mu.Unlock()
	if derived != nil {
		return derived.Value(key) // where package context looks for its own
	}
	return c.Context.Value(key)
}

func (c *raceContext) cancel(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.end != nil {
		c.end(cause)
	}
}
