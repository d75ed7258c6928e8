package facade

import (
	"context"
	"errors"
)

// All functions of this file are called with the lock held.

// succeed books the value of part i.
func (r *run) succeed(i int32, v any) {
	c := &r.cells[i]
	if c.rare == nil {
		c.done = true
		r.decide(i, OK, v, nil)
		return
	}
	if c.done = !c.rare.stale; c.rare.stale {
		c.unknown = mayHaveActed(c.rare.served)
	}
	r.decide(i, FellBack, v, c.rare.served)
}

// judge makes of the error of part i's function what the part's is.
func (r *run) judge(i int32, err error) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	c.status, c.err = Failed, err
	parent := r.ctx.parent
	switch {
	case r.cause != nil:
		c.status, c.unknown = Cancelled, n.undoable()
		if errors.Is(err, context.Canceled) {
			c.err = r.stop
		}
	case parent.Err() == context.Canceled:
		c.status, c.unknown = Cancelled, n.undoable()
		r.fail("", context.Cause(parent))
	case c.timed != nil && c.timed.expired():
		c.err, c.unknown = &timeout{after: c.timed.up.after, err: err}, n.undoable()
	default:
		c.unknown = n.undoable() && mayHaveActed(err)
	}
}

// mayHaveActed reports whether err leaves open what the other side has done.
func mayHaveActed(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// decideWithout decides part i, whose function has no value.
func (r *run) decideWithout(i int32) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	if n.fallbacks > 0 && n.fallback == nil && r.cause == nil {
		r.decide(i, FellBack, n.substitute, c.err)
	} else {
		r.decide(i, c.status, nil, c.err)
	}
}

// decide books how part i has ended, with all that follows.
func (r *run) decide(i int32, status Status, v any, err error) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	r.end(i, status, v, err)
	if !status.hasValue() && !n.optional && !unneeded(err) {
		r.fail(n.name, err)
	}
	if n.undoable() && (c.done || c.unknown) {
		c.before, r.undos = r.undos, i
	}
	if n.pivot && c.done {
		r.undos, r.pivoted = none, true
	}
	for _, d := range n.dependents {
		on := &r.cells[d.index]
		if on.phase != waiting {
			continue
		}
		if !d.soft && !status.hasValue() && on.err == nil {
			on.status, on.err = Skipped, &skipped{part: n.name, err: err}
		}
		if on.waited++; on.waited < r.plan.nodes[d.index].waits {
			continue
		}
		if j := int32(d.index); on.err != nil && r.plan.nodes[j].fallback == nil {
			r.decideWithout(j)
		} else {
			r.enqueue(j)
		}
	}
}

func (r *run) end(i int32, status Status, v any, err error) {
	c := &r.cells[i]
	c.phase, c.status, c.value, c.err = decided, status, v, err
	if r.clocked {
		c.ended = r.now()
		if c.begun == 0 && c.run == nil {
			c.begun = c.ended
		}
	}
	r.undecided--
}

// fail ends the call, unless it has failed already: the cause is set first, so that
// no sibling's error can take its place.
func (r *run) fail(part string, err error) {
	if r.cause != nil {
		return
	}
	r.cause, r.failed = err, part
	r.over.Store(true)
	r.stop = &stopped{name: r.plan.cfg.Name, part: part, err: err}
	r.first = none
	for i := range r.cells {
		if r.cells[i].phase == waiting {
			r.end(int32(i), Cancelled, nil, r.stop)
		}
	}
	r.ctx.cancel(r.stop)
}
