package facade

import (
	"context"
	"time"
)

// arm makes the timer fire at limit, if not before. It is called with the lock held.
func (r *run) arm(limit, now time.Duration) {
	switch {
	case r.timer == nil:
		r.timer = time.AfterFunc(limit-now, r.expire)
	case r.alarm == 0 || limit < r.alarm:
		r.timer.Reset(limit - now)
	default:
		return
	}
	r.alarm = limit
}

// expire leaves behind what has had its time, on a goroutine of the timer's, which
// then is a worker.
func (r *run) expire() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.alarm = 0
	now := r.now()
	for i := range r.cells {
		c := &r.cells[i]
		if c.limit == 0 || c.phase != running && c.phase != substituting {
			continue
		}
		if c.limit > now {
			r.arm(c.limit, now)
			continue
		}
		r.running--
		r.leave(int32(i), now)
	}
	r.running++
	r.work(r.dispatch(false), false)
}

// leave decides part i, whose function or fallback goes on. It is called with the lock
// held.
func (r *run) leave(i int32, now time.Duration) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	if c.phase == substituting {
		r.decide(i, c.status, nil, &fallbackError{c.err, &timeout{after: now - c.begun}})
		return
	}
	r.plan.counts[i].left.Add(1)
	c.left, c.unknown, c.limit = true, n.undoable(), 0
	c.status, c.err = Failed, &timeout{after: c.timed.up.after}
	c.timed.expired() // whatever ends the run, this context ended of its deadline
	if r.cause != nil {
		c.status, c.err = Cancelled, r.stop
	}
	if n.fallback != nil && r.cause == nil {
		c.phase, c.next = waiting, r.first // it keeps its place
		if r.first = i; c.next == none {
			r.last = i
		}
		return
	}
	r.decideWithout(i)
}

// late gets what the function of a part returns that was left behind, on its
// goroutine.
func (r *run) late(i int32, v any, err error) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	r.mu.Lock()
	if err != nil && !r.closed {
		c.left = false // if the call fails, it has its turn
		r.mu.Unlock()
		r.observeLate(i, err, nil, false)
		return
	}
	failed := r.cause != nil
	stale := c.rare != nil && c.rare.stale
	r.mu.Unlock()
	var f func(context.Context) error
	if err == nil && !stale || err != nil && failed {
		f = r.undoer(i, v, err == nil)
	}
	if f == nil {
		r.observeLate(i, err, nil, false)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx.parent), r.plan.cfg.UndoTimeout)
	defer cancel()
	undoErr := f(ctx)
	r.mu.Lock()
	c.left, c.undone = false, undoErr == nil
	c.more().undoErr = undoErr
	r.mu.Unlock()
	if undoErr != nil {
		undoErr = &undoError{n.name, undoErr}
	}
	r.observeLate(i, err, undoErr, undoErr == nil)
}
