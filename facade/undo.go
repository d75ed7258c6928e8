package facade

import (
	"context"
	"runtime/debug"
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
		c, n := &r.cells[i], &r.plan.nodes[i]
		share := (r.plan.cfg.UndoTimeout - time.Since(begin)) / time.Duration(parts)
		parts--
		var err error
		r.mu.Lock()
		left, done := c.left, c.undone
		if c.rare != nil {
			err = c.rare.undoErr
		}
		r.mu.Unlock()
		f := r.undoer(i, c.value, c.done)
		switch {
		case done || err != nil: // late
		case left || f == nil:
			e.Unknown = append(e.Unknown, n.name)
			continue
		default:
			err = r.apart(ctx, n.name, share, f)
			c.undone = err == nil
		}
		if err != nil {
			e.Undo = append(e.Undo, &undoError{n.name, err})
			if crash, ok := err.(*PanicError); ok && r.crash == nil {
				r.crash = crash
			}
			continue
		}
		e.Undone = append(e.Undone, n.name)
	}
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

// apart calls f on a goroutine of its own, and waits for it for no longer than d.
func (r *run) apart(ctx context.Context, part string, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, soften(d))
	defer cancel()
	var left atomic.Bool
	done := make(chan error, 1)
	go func() {
		returned := false
		defer func() {
			if returned || left.Load() {
				return // or the panic takes its course
			}
			if v := recover(); v != nil {
				done <- newPanicError(part, v, debug.Stack())
			} else {
				done <- errExit
			}
		}()
		err := f(ctx)
		returned = true
		done <- err
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		left.Store(true)
		return &timeout{after: d}
	}
}
