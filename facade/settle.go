package facade

// succeedLocked books the value of part i.
func (r *run) succeedLocked(i int32, v any) {
	c := &r.cells[i]
	if c.rare == nil || c.rare.second.cause == nil {
		c.done = true
		r.decideLocked(i, OK, v, nil)
		return
	}
	s := c.rare.second
	c.done, c.unknown = !s.stale, s.stale && s.acted && r.plan.nodes[i].undoable()
	r.decideLocked(i, FellBack, v, s.cause)
}

// judgeLocked makes of the error of part i's function what the part's is.
func (r *run) judgeLocked(i int32, err error, says verdict) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	c.status, c.err = Failed, err
	switch {
	case r.cause != nil:
		c.status, c.unknown = Cancelled, n.undoable()
		if says.cancelled {
			c.err = r.stop
		}
	case says.caller != nil:
		c.status, c.unknown = Cancelled, n.undoable()
		r.failLocked("", says.caller)
	case says.expired:
		given := c.limit - c.begun
		c.err, c.unknown = &timeout{after: given, early: soften(given), err: err}, n.undoable()
	default:
		c.unknown = says.open
	}
}

// decideWithoutLocked decides part i, whose function has no value.
func (r *run) decideWithoutLocked(i int32) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	if n.fallbacks > 0 && n.fallback == nil && r.cause == nil {
		r.decideLocked(i, FellBack, n.substitute, c.err)
	} else {
		r.decideLocked(i, c.status, nil, c.err)
	}
}

// decideLocked books how part i has ended, with all that follows.
func (r *run) decideLocked(i int32, status Status, v any, err error) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	r.endLocked(i, status, v, err)
	if !status.hasValue() && !n.optional && !c.unneeded {
		r.failLocked(n.name, err)
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
			on.status, on.err, on.unneeded = Skipped, &skipped{part: n.name, err: err}, c.unneeded
		}
		if on.waited++; on.waited < r.plan.nodes[d.index].waits {
			continue
		}
		if j := int32(d.index); on.err != nil && r.plan.nodes[j].fallback == nil {
			r.decideWithoutLocked(j)
		} else {
			r.enqueueLocked(j)
		}
	}
}

// endLocked ends the work on part i. The last wakes the caller.
func (r *run) endLocked(i int32, status Status, v any, err error) {
	c := &r.cells[i]
	c.phase, c.status, c.value, c.err = decided, status, v, err
	if r.plan.nodes[i].undoable() && (c.done || c.unknown) {
		c.before, r.undos = r.undos, i
	}
	if r.clocked {
		c.ended = r.now()
		if c.begun == 0 && c.run == nil {
			c.begun = c.ended
		}
	}
	if r.undecided--; r.undecided == 0 {
		r.wg.Done()
	}
}

// failLocked ends the call, unless it has failed already: the cause is set first, so
// that no sibling's error can take its place.
func (r *run) failLocked(part string, err error) {
	if r.cause != nil {
		return
	}
	r.cause, r.failed = err, part
	r.over.Store(true)
	r.stop = &stopped{name: r.plan.cfg.Name, part: part, err: err}
	r.first = none
	for i := range r.cells {
		if c := &r.cells[i]; c.phase == waiting {
			c.unneeded = false
			r.endLocked(int32(i), Cancelled, nil, r.stop)
		}
	}
	r.ctx.cancel(r.stop)
}

// crashLocked ends the call with a panic or exit of the code of part i, which the
// caller gets.
func (r *run) crashLocked(i int32, err error) {
	p, ok := err.(panicked)
	switch {
	case !ok:
		r.exits = true
	case r.panics == nil:
		r.panics = p.PanicError
	}
	if !r.closed {
		r.failLocked(r.plan.nodes[i].name, err)
	}
}
