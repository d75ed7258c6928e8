package facade

import "context"

// late gets what the function of part i has returned, which the call has left behind,
// on its goroutine, and takes it back where it can be.
func (r *run) late(i int32, v any, err error) {
	name := r.plan.nodes[i].name
	undo := r.undoLate(i, v, err)
	if undo == nil {
		r.tell(Event{Kind: Late, Part: name, Err: err})
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx.parent), r.plan.cfg.UndoTimeout)
	defer cancel()
	guard(name, r.heard, func() error { return undo(ctx) }, func(undoErr error, how ending) {
		r.undoneLate(i, undoErr)
		r.tellUndo(i, err, undoErr, how)
	})
}

// crashedLate is late for a function that has not returned, but panicked or exited.
func (r *run) crashedLate(i int32, err error) {
	e := Event{Kind: Late, Part: r.plan.nodes[i].name, Err: err}
	defer func() { r.crashed(i, err, e) }()
	undo := r.undoLate(i, nil, err)
	if undo == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx.parent), r.plan.cfg.UndoTimeout)
	defer cancel()
	guard(e.Part, func() bool { return true }, func() error { return undo(ctx) }, func(undoErr error, _ ending) {
		r.undoneLate(i, undoErr)
		if e.Undone = undoErr == nil; !e.Undone {
			e.Undo = &undoError{e.Part, undoErr}
		}
	})
}

// undoLate returns what takes part i back, or nil.
func (r *run) undoLate(i int32, v any, err error) func(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.cells[i]
	switch {
	case err == nil:
		if c.rare != nil && c.rare.second.stale {
			return nil
		}
		return r.undoer(i, v, true)
	case r.closed && r.cause != nil:
		return r.undoer(i, nil, false)
	case !r.closed:
		c.left = false // if the call fails, it has its turn
	}
	return nil
}

func (r *run) undoneLate(i int32, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.cells[i]
	c.left, c.undone = false, err == nil
	c.more().undoErr = err
}

// tellUndo tells what came of a late undo of part i, whose function has returned err.
func (r *run) tellUndo(i int32, err, undoErr error, how ending) {
	e := Event{Kind: Late, Part: r.plan.nodes[i].name, Err: err, Undone: undoErr == nil}
	if undoErr != nil {
		e.Undo = &undoError{e.Part, undoErr}
	}
	if how == crashed {
		r.crashed(i, undoErr, e)
	} else {
		r.tell(e)
	}
}

// heard reports whether there is somebody to be told of a panic.
func (r *run) heard() bool {
	if r.plan.cfg.Observe != nil || !r.isGone() {
		return true
	}
	return whose(r.ctx.parent).heard()
}

// heard is that of the call that c is of. A nil c is code outside of plans.
func (c *cell) heard() bool { return c != nil && c.run.heard() }

// stray tells how code has ended that did not return, that nobody waits for, and that
// was called by the part's function.
func (c *cell) stray(err error) {
	p, panics := err.(panicked)
	if c == nil {
		if panics { // the race has ended in the meantime
			panic(p.PanicError)
		}
		return
	}
	name := c.name()
	if panics {
		err = panicked{newPanicError(name, p.PanicError, nil)}
		c.run.crashed(c.index(), err, Event{Kind: Late, Part: name, Err: err})
	} else {
		c.run.tell(Event{Kind: Late, Part: name, Err: err})
	}
}

func (r *run) isGone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// crashed tells how code of part i has ended that did not return, and that nobody
// waits for: the caller, as long as there is one, then Observe, then the plan of which
// the call is a part.
func (r *run) crashed(i int32, err error, e Event) {
	if r.crash(i, err) {
		return
	}
	p, panics := err.(panicked)
	switch outer := whose(r.ctx.parent); {
	case r.plan.cfg.Observe != nil:
		r.tell(e)
	case outer != nil:
		outer.stray(err)
	case panics: // everybody has left in the meantime
		panic(p.PanicError)
	}
}

// crash ends the call for crashed. It returns false if it has ended.
func (r *run) crash(i int32, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.gone {
		r.crashLocked(i, err)
	}
	return !r.gone
}

// tell calls Observe where no caller waits. If it panics or exits, that is counted.
func (r *run) tell(e Event) {
	observe := r.plan.cfg.Observe
	if observe == nil {
		return
	}
	e.Name, e.Begin, e.Elapsed = r.plan.cfg.Name, r.start, r.now()
	returned := false
	defer func() {
		if !returned {
			recover()
			r.plan.panics.Add(1)
		}
	}()
	observe(r.ctx.parent, e)
	returned = true
}
