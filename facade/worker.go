package facade

import (
	"context"
	"runtime/debug"
)

// worker is a goroutine that runs parts.
type worker struct {
	*run
	inline bool  // the caller's
	at     int32 // the part whose function or fallback is running, or none
	in     phase // which of them
}

// work runs part i, and after it those that fall to the same worker. Its frame is
// kept small: it lies below the part's function, on a new stack.
func (r *run) work(i int32, inline bool) {
	if i == none {
		return
	}
	w := worker{run: r, inline: inline, at: none}
	defer w.rescue()
	for i != none {
		if !w.enter(i) {
			i = w.without(i)
			continue
		}
		w.at, w.in = i, running
		v, err := r.plan.nodes[i].call(&r.cells[i], r)
		w.at = none
		i = w.exit(i, v, err)
	}
}

// enter reports whether part i is to be called. If not, it keeps the lock.
func (w *worker) enter(i int32) bool {
	c := &w.cells[i]
	if !w.clocked && c.err == nil && w.plan.nodes[i].when == nil && !w.over.Load() && w.ctx.parent.Err() == nil {
		c.run = w.run // as admit would say, without a lock
		return true
	}
	w.mu.Lock()
	if w.cells[i].err != nil || !w.admit(i) {
		return false
	}
	w.mu.Unlock()
	return true
}

// admit decides whether part i is called, with the lock held.
func (r *run) admit(i int32) bool {
	c, n := &r.cells[i], &r.plan.nodes[i]
	parent := r.ctx.parent
	switch err := parent.Err(); {
	case r.cause != nil:
		c.status, c.err = Cancelled, r.stop
	case err != nil && (err == context.Canceled || r.deadline == 0):
		c.status, c.err = Cancelled, context.Cause(parent)
		if err == context.Canceled {
			r.fail("", c.err)
		}
	case n.when != nil && !n.when(r):
		c.status, c.err = Skipped, ErrNotNeeded
	case r.clocked && !r.allot(i):
		c.status, c.err = Skipped, ErrNoBudget
	default:
		c.run = r
		return true
	}
	return false
}

// allot gives part i its time. It returns false if there is too little.
func (r *run) allot(i int32) bool {
	c, n := &r.cells[i], &r.plan.nodes[i]
	now := r.now()
	c.begun = now
	if !r.timed(i) {
		return true
	}
	given := n.timeout
	if r.deadline > 0 {
		left := r.deadline - n.tail - now
		if left <= 0 || left < soften(n.expects) { // what ends in time ends a little late
			return false
		}
		if given == 0 || left < given {
			given = left
		}
	}
	c.limit = now + given
	c.timed = &lazy{parent: &r.ctx, deadline: r.start.Add(now + soften(given)), up: timeout{after: given}}
	r.arm(c.limit, now)
	return true
}

// exit books what the function of part i has returned, and returns the next part for
// the same worker.
func (w *worker) exit(i int32, v any, err error) int32 {
	c := &w.cells[i]
	if err == nil && c.timed != nil {
		c.timed.cancel(context.Canceled)
	}
	w.mu.Lock()
	switch {
	case c.left:
		w.mu.Unlock()
		w.late(i, v, err)
		return none
	case err == nil:
		w.succeed(i, v)
		return w.dispatch(w.inline)
	}
	w.judge(i, err)
	if c.timed != nil {
		c.timed.cancel(context.Canceled)
	}
	return w.without(i)
}

// without goes on with part i, which has no value, for the reason cell.err. It is
// called with the lock held.
func (w *worker) without(i int32) int32 {
	c, n := &w.cells[i], &w.plan.nodes[i]
	if n.fallback == nil || w.cause != nil {
		w.decideWithout(i)
		return w.dispatch(w.inline)
	}
	c.phase, c.limit = substituting, 0
	if w.deadline > 0 {
		now := w.now()
		c.limit = max(w.deadline-n.tail, now+grace)
		w.arm(c.limit, now)
	}
	cause := c.err
	w.mu.Unlock()
	w.at, w.in = i, substituting
	v, err := n.fallback(&w.ctx, cause)
	w.at = none
	w.mu.Lock()
	if c.phase != substituting { // too late, and its place has been passed on
		w.mu.Unlock()
		return none
	}
	if err != nil {
		w.decide(i, c.status, nil, &fallbackError{cause, err})
	} else {
		w.decide(i, FellBack, v, cause)
	}
	return w.dispatch(w.inline)
}

// rescue is deferred by a worker. If a function or fallback panics or exits, the call
// ends with it.
func (w *worker) rescue() {
	if w.at == none {
		return
	}
	w.mu.Lock()
	c := &w.cells[w.at]
	late := c.left
	if w.in == substituting {
		late = c.phase != substituting
	}
	if late && w.closed && w.plan.cfg.Observe == nil {
		w.mu.Unlock()
		return // the panic takes its course
	}
	w.crashed(w.at, w.in, late, recover())
}

// crashed books a panic with that value, or runtime.Goexit if it is nil. It releases
// the lock.
func (r *run) crashed(i int32, in phase, late bool, value any) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	err := errExit
	if value != nil {
		crash := newPanicError(n.name, value, debug.Stack())
		err = crash
		if !r.closed && r.crash == nil {
			r.crash = crash
		}
	}
	if late && r.closed {
		r.mu.Unlock()
		r.observeLate(i, err, nil, false)
		return
	}
	r.exits = r.exits || value == nil
	c.unknown = c.unknown || in == running && n.undoable()
	r.fail(n.name, err)
	if late {
		c.left = false
	} else {
		r.decide(i, Failed, nil, err)
	}
	r.unlock()
}
