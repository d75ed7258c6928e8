package facade

import (
	"context"
	"errors"
	"runtime"
)

// refuse is a call whose context has ended before.
func (p *plan) refuse(ctx context.Context) *Error {
	e := &Error{Name: p.cfg.Name, Err: context.Cause(ctx)}
	p.calls.Add(1)
	p.failed.Add(1)
	if p.cfg.Observe != nil {
		p.cfg.Observe(ctx, Event{Kind: Called, Name: p.cfg.Name, Err: e})
	}
	return e
}

// presentable reports whether there is something to assemble.
func (r *run) presentable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.crash == nil && !r.exits && (r.cause == nil || r.pivoted)
}

// fault fails the call when all parts are done.
func (r *run) fault(err error) {
	r.mu.Lock()
	r.fail("", err)
	r.mu.Unlock()
}

// conclude ends the call: it undoes what is to be undone and reports. A panic or exit
// of a part happens here anew.
func (r *run) conclude() error {
	e := r.finish()
	switch {
	case r.crash != nil:
		crash := *r.crash // which is within e
		crash.Err = e
		panic(&crash)
	case r.exits:
		runtime.Goexit()
	case e == nil:
		return nil
	}
	return e
}

// abandon is conclude where assemble panics or the caller's goroutine exits.
func (r *run) abandon() {
	if !r.closed { // which the caller's goroutine sets
		r.wg.Wait()
		r.fault(errAbandoned)
		r.finish()
	}
}

var errAbandoned = errors.New("facade: assemble has panicked")

func (r *run) finish() (e *Error) {
	r.mu.Lock()
	r.closed = true
	failed := r.cause != nil
	r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	if failed {
		e = &Error{Name: r.plan.cfg.Name, Part: r.failed, Err: r.cause, pivoted: r.pivoted}
		for i := range r.cells {
			e.called = e.called || r.cells[i].run != nil
		}
		e.Others = r.missing(r.failed)
		r.undo(e)
	} else {
		r.ctx.cancel(context.Canceled)
	}
	r.count(failed)
	r.observe(e)
	return e
}
