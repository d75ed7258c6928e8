package facade

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// refuse is a call whose context has ended before.
func (p *plan) refuse(ctx context.Context) *Error {
	e := &Error{Name: p.cfg.Name, Err: context.Cause(ctx)}
	p.refused.Add(1)
	if p.cfg.Observe != nil {
		p.cfg.Observe(ctx, Event{Kind: Called, Name: p.cfg.Name, Begin: time.Now(), Err: e})
	}
	return e
}

// presentable reports whether there is something to assemble.
func (r *run) presentable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.panics == nil && !r.exits && (r.cause == nil || r.pivoted)
}

// fault fails the call when all parts are done.
func (r *run) fault(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failLocked("", err)
}

// conclude ends the call: it undoes what is to be undone and reports. A panic or exit
// of a part happens here anew.
func (r *run) conclude() error {
	e := r.finish()
	switch {
	case r.panics != nil:
		p := *r.panics // which is within e
		p.Err = e
		panic(&p)
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
	failed := r.close()
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
		r.leaveCaller()
	} else {
		r.ctx.cancel(context.Canceled)
	}
	r.count(failed)
	r.observe(e)
	return e
}

// close reports whether the call has failed, which cannot change any more.
func (r *run) close() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.gone = r.cause == nil
	return r.cause != nil
}

// leaveCaller is when panics are too late for the caller.
func (r *run) leaveCaller() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
}
