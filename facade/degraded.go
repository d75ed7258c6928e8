package facade

import (
	"context"
	"sync"
)

// Degraded says that the value of the part that ctx was made for is a second choice,
// because of err: that of a cache, say, or a page of which something is missing. The
// part has FellBack then, with err, if its function returns a value. The value is
// still undone if the call fails. Degraded does nothing if err is nil, or if ctx was
// not made for a part.
//
// A plan within a plan passes on in this way that its answer is a partial one: see
// the example.
func Degraded(ctx context.Context, err error) {
	mustHaveContext("Degraded", ctx)
	secondChoice(ctx, second{cause: err})
}

// second is why a function's value is a second choice.
type second struct {
	cause error // nil: it is not
	acted bool  // what cause tells of may have been done all the same
	stale bool  // the value is not of this call
	by    any   // who says so, and can take it back; nil: nobody can
}

// secondChoice tells the part that ctx was made for, if any.
func secondChoice(ctx context.Context, s second) {
	if s.cause == nil {
		return
	}
	w := witnessOf(ctx)
	if w == nil {
		return
	}
	s.acted = mayHaveActed(s.cause)
	w.change(func(had *second) {
		if had.cause != nil {
			s.acted, s.stale = s.acted || had.acted, s.stale || had.stale
			if s.by != had.by {
				s.by = nil // there are several
			}
		}
		*had = s
	})
}

// withdraw takes back what by has said.
func withdraw(w witness, by any) {
	w.change(func(had *second) {
		if had.by == by {
			*had = second{}
		}
	})
}

// partKey finds the witness of a context.
type partKey struct{}

// witness is who hears what a function says of its value.
type witness interface {
	part() *cell
	has() bool
	change(func(*second))
}

func witnessOf(ctx context.Context) witness {
	w, _ := ctx.Value(partKey{}).(witness)
	return w
}

// whose returns the cell of the part that ctx was made for, or nil.
func whose(ctx context.Context) *cell {
	if w := witnessOf(ctx); w != nil {
		return w.part()
	}
	return nil
}

func (c *cell) part() *cell { return c }

func (c *cell) has() bool {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	return c.rare != nil && c.rare.second.cause != nil
}

func (c *cell) change(f func(*second)) {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	f(&c.more().second)
}

// contestant is the context of one function of a race. Only if the function wins, the
// part hears what it has said.
type contestant struct {
	context.Context
	of *cell // nil outside of plans

	mu     sync.Mutex
	second second
}

// String keeps printers from looking inside, which would be a race.
func (c *contestant) String() string   { return "facade: context of one of several" }
func (c *contestant) GoString() string { return c.String() }

func (c *contestant) Value(key any) any {
	if _, ok := key.(partKey); ok && c.of != nil {
		return c
	}
	return c.Context.Value(key)
}

func (c *contestant) part() *cell { return c.of }

func (c *contestant) has() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.second.cause != nil
}

func (c *contestant) change(f func(*second)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.second)
}

// pass tells the winner's part.
func (c *contestant) pass(ctx context.Context) {
	c.mu.Lock()
	s := c.second
	c.mu.Unlock()
	secondChoice(ctx, s)
}
