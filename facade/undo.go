package facade

import (
	"context"
	"sync/atomic"
	"time"
)

// undo takes back what was done, the last first, and says in e what came of it.
func (r *run) undo(e *Error) {
	ctx := context.WithoutCancel(r.ctx.parent)
	parts := 0
	for i := r.undos; i != none; i = r.cells[i].before {
		parts++
	}
	begin := time.Now()
	for i := r.undos; i != none; i = r.cells[i].before {
		n := &r.plan.nodes[i]
		share := (r.plan.cfg.UndoTimeout - time.Since(begin)) / time.Duration(parts)
		parts--
		f, undone, err := r.undoOf(i)
		if f != nil {
			err = r.apart(ctx, i, share, f)
			undone = err == nil
			r.cells[i].undone = undone
		}
		switch {
		case undone:
			e.Undone = append(e.Undone, n.name)
		case err != nil:
			e.Undo = append(e.Undo, &undoError{n.name, err})
		default:
			e.Unknown = append(e.Unknown, n.name)
		}
	}
}

// undoOf returns what takes part i back, or whether that has been done, or what came of
// it: it was done late. Nothing of the three: nobody can, or not yet.
func (r *run) undoOf(i int32) (f func(context.Context) error, undone bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.cells[i]
	switch {
	case c.undone:
		return nil, true, nil
	case c.rare != nil && c.rare.undoErr != nil:
		return nil, false, c.rare.undoErr
	case c.left:
		return nil, false, nil
	}
	return r.undoer(i, c.value, c.done), false, nil
}

// undoer returns what takes part i back, whose value is v if it is known to be done.
// nil: nobody can.
func (r *run) undoer(i int32, v any, done bool) func(context.Context) error {
	n := &r.plan.nodes[i]
	switch {
	case done && n.undo != nil:
		return func(ctx context.Context) error { return n.undo(ctx, v) }
	case n.always != nil:
		return func(ctx context.Context) error { return n.always(ctx, r) }
	}
	return nil
}

// apart calls the undo f of part i on a goroutine of its own, and waits for it for no
// longer than d.
func (r *run) apart(ctx context.Context, i int32, d time.Duration, f func(context.Context) error) error {
	name := r.plan.nodes[i].name
	ctx, cancel := context.WithTimeout(ctx, soften(d))
	defer cancel()
	var settled atomic.Bool // by who comes first: f, or the end of its time
	done := make(chan error, 1)
	heard := func() bool { return !settled.Load() || r.heard() }
	go guard(name, heard, func() error { return f(ctx) }, func(err error, how ending) {
		switch {
		case !settled.CompareAndSwap(false, true):
			r.tellUndo(i, nil, err, how)
			return
		case how == crashed:
			r.crash(i, err)
		}
		done <- err
	})
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		if !settled.CompareAndSwap(false, true) {
			return <-done
		}
		return &timeout{after: d}
	}
}
