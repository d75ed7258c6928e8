package facade

import (
	"context"
	"errors"
	"time"
)

// worker is a goroutine that runs parts.
type worker struct {
	*run
	inline bool  // the caller's
	at     int32 // the part whose code is running, or none
	lack   error // why that is its fallback; nil: it is its function
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
		w.at = i
		switch {
		case w.lack != nil:
			i = w.substitute(i)
		case w.admit(i):
			v, err := r.plan.nodes[i].call(r.contextOf(i), r)
			i = w.exit(i, v, err)
		default:
			i = w.without(i)
		}
	}
}

// contextOf returns the context of part i's function.
func (r *run) contextOf(i int32) context.Context {
	c := &r.cells[i]
	f := r.plan.cfg.Context
	if f == nil {
		return c
	}
	ctx := f(c, r.plan.nodes[i].name)
	if ctx == nil {
		panic("facade: Config.Context has returned nil")
	}
	return ctx
}

// admit reports whether the function of part i is to be called. If not, its cell says
// why.
func (w *worker) admit(i int32) bool {
	c, parent := &w.cells[i], w.ctx.parent
	ended := parent.Err()
	if !w.clocked && c.err == nil && w.plan.nodes[i].when == nil && !w.over.Load() && ended == nil {
		c.run = w.run // as allowLocked would say
		return true
	}
	var cause error
	if ended != nil {
		cause = context.Cause(parent)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return c.err == nil && w.allowLocked(i, ended, cause)
}

// allowLocked decides whether part i is called, if the caller's context has ended, or
// not, because of cause.
func (r *run) allowLocked(i int32, ended, cause error) bool {
	c, n := &r.cells[i], &r.plan.nodes[i]
	switch {
	case r.cause != nil:
		c.status, c.err = Cancelled, r.stop
	case ended != nil && (ended == context.Canceled || r.deadline == 0):
		c.status, c.err = Cancelled, cause
		if ended == context.Canceled {
			r.failLocked("", cause)
		}
	case n.when != nil && !n.when(r):
		c.status, c.err, c.unneeded = Skipped, ErrNotNeeded, true
	case r.clocked && !r.allotLocked(i):
		c.status, c.err = Skipped, ErrNoBudget
	default:
		c.run = r
		return true
	}
	return false
}

// allotLocked gives part i its time. It returns false if there is too little.
func (r *run) allotLocked(i int32) bool {
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
	c.timed = r.timedLocked(given, now)
	r.armLocked(c.limit, now)
	return true
}

// timedLocked returns a context for a part that begins now. Timers are the most
// expensive part of a context, so it is that of the part before if both begin at once.
func (r *run) timedLocked(given, now time.Duration) *lazy {
	early := soften(given)
	if l := r.timedCtx; l != nil {
		near := min(given/1000, atOnce)
		sooner, longer := now+early-r.timedEnd, l.up.after-given
		if longer == 0 && sooner >= 0 && sooner <= near || sooner == 0 && max(longer, -longer) <= near {
			return l
		}
	}
	r.timedEnd = now + early
	r.timedCtx = &lazy{parent: &r.ctx, deadline: r.start.Add(r.timedEnd), up: timeout{after: given, early: early}}
	return r.timedCtx
}

// exit books what the function of part i has returned, and returns the next part for
// the same worker.
func (w *worker) exit(i int32, v any, err error) int32 {
	var says verdict
	if err != nil {
		says = w.hear(i, err)
	}
	w.at = none
	own, others, late := w.book(i, v, err, says)
	if late {
		w.late(i, v, err)
		return none
	}
	return w.launch(own, others)
}

// verdict is what there is to know of a function's error. It is found out without the
// lock: the methods of errors and contexts are user code.
type verdict struct {
	cancelled bool  // it is context.Canceled
	open      bool  // it does not say whether the part was done
	expired   bool  // the part's time was up
	caller    error // why the caller's context was cancelled
}

func (r *run) hear(i int32, err error) verdict {
	c := &r.cells[i]
	says := verdict{
		cancelled: errors.Is(err, context.Canceled),
		open:      r.plan.nodes[i].undoable() && mayHaveActed(err),
		expired:   c.timed != nil && c.timed.expired(),
	}
	if r.ctx.parent.Err() == context.Canceled {
		says.caller = context.Cause(r.ctx.parent)
	}
	return says
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

// book reports whether the call has left the function of part i behind meanwhile. If
// not, it returns what is to run next.
func (w *worker) book(i int32, v any, err error, says verdict) (own, others int32, late bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &w.cells[i]
	switch {
	case c.left:
		return none, none, true
	case err == nil:
		w.succeedLocked(i, v)
		own, others = w.dispatchLocked(w.inline)
		return own, others, false
	}
	w.judgeLocked(i, err, says)
	own, others = w.withoutLocked(i)
	return own, others, false
}

// without goes on with part i, which has no value, for the reason cell.err.
func (w *worker) without(i int32) int32 {
	w.at = none
	return w.launch(w.bookWithout(i))
}

func (w *worker) bookWithout(i int32) (own, others int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.withoutLocked(i)
}

// withoutLocked returns what is to run next: the fallback of part i, if lack is set.
func (w *worker) withoutLocked(i int32) (own, others int32) {
	c, n := &w.cells[i], &w.plan.nodes[i]
	if n.fallback == nil || w.cause != nil {
		w.decideWithoutLocked(i)
		return w.dispatchLocked(w.inline)
	}
	c.phase, c.limit = substituting, 0
	if w.deadline > 0 {
		now := w.now()
		c.limit = max(w.deadline-n.tail, now+grace)
		w.armLocked(c.limit, now)
	}
	w.lack = c.err
	return i, none
}

// substitute calls the fallback of part i, and returns the next part.
func (w *worker) substitute(i int32) int32 {
	v, err := w.plan.nodes[i].fallback(&w.ctx, w.lack)
	w.at = none
	return w.launch(w.bookFallback(i, v, err))
}

func (w *worker) bookFallback(i int32, v any, err error) (own, others int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lack := w.lack
	w.lack = nil
	c := &w.cells[i]
	switch {
	case c.phase != substituting: // too late, and its place has been passed on
		return none, none
	case err != nil:
		c.unneeded = false
		w.decideLocked(i, c.status, nil, &fallbackError{lack, err})
	default:
		w.decideLocked(i, FellBack, v, lack)
	}
	return w.dispatchLocked(w.inline)
}

// rescue is deferred by a worker. If the code of a part panics or exits, the call ends
// with it.
func (w *worker) rescue() {
	if w.at == none || !w.heard() {
		return // and a panic takes its course
	}
	err := errExit
	if value := recover(); value != nil {
		err = newPanicked(w.plan.nodes[w.at].name, value)
	}
	if !w.bookCrash(w.at, err) {
		w.crashedLate(w.at, err)
	}
}

// bookCrash books what the code of part i has ended with that did not return. It
// returns false if the call has ended before.
func (w *worker) bookCrash(i int32, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, n := &w.cells[i], &w.plan.nodes[i]
	late := c.left
	if w.lack != nil {
		late = c.phase != substituting
	}
	if w.gone {
		return false
	}
	w.crashLocked(i, err)
	if w.lack == nil {
		c.unknown, c.left = n.undoable(), false
	}
	if !late {
		c.unneeded = false
		w.decideLocked(i, Failed, nil, err)
	}
	return true
}
