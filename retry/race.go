package retry

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// errBeaten is the cause with which the contexts of losers end.
var errBeaten = errors.New("retry: another attempt was faster")

// race is one hedged call.
type race[T any] struct {
	h       *Hedger
	parent  context.Context
	op      func(context.Context) (T, error)
	judge   func(error) verdict // nil: the Hedger's
	discard func(T)             // gets what does not reach the caller; nil: nobody
	lose    func(T, error)      // the same, of failures too
	begin   time.Duration

	mu      sync.Mutex
	timer   *time.Timer   // starts the next attempt
	armed   bool          // and may call fire
	done    chan struct{} // closed when over; made when the caller waits
	begun   int
	running int
	sent    bool // some attempt was more than a rejection
	refused bool // the budget did
	over    bool
	first   *raceContext
	others  []*raceContext

	// How it ended, or the latest failure.
	winner *raceContext
	value  T
	err    error
	cause  error
	panics any
	exits  bool // an attempt called runtime.Goexit
}

// run returns the value and error of the attempt that decides the race, and its
// context, which is to be cancelled when the value is not used any more.
func (r *race[T]) run() (v T, c *raceContext, err error) {
	returned := false
	defer func() {
		if !returned { // a panic or runtime.Goexit passes through
			r.mu.Lock()
			r.end(nil)
		}
	}()
	r.begin = r.h.now()
	r.begun, r.running = 1, 1
	r.first = &raceContext{Context: r.parent, number: 1}
	if delay := r.h.delay(); delay >= 0 && r.h.cfg.Max > 1 {
		r.mu.Lock() // against fire, which may be called before timer is set
		if r.armed = true; r.timer == nil {
			r.timer = time.AfterFunc(delay, r.fire)
		} else {
			r.timer.Reset(delay)
		}
		r.mu.Unlock()
	}
	if r.h.cfg.Inline {
		r.attempts(r.first, true)
	} else {
		go r.attempts(r.first, false)
	}
	r.wait()
	returned = true
	switch {
	case r.exits:
		runtime.Goexit()
	case r.panics != nil:
		panic(r.panics)
	case r.err != nil:
		r.observe(Event{Kind: GaveUp, Attempt: r.begun, Err: r.err, Cause: r.cause})
		return r.value, r.winner, r.err
	}
	if r.winner.number > 1 {
		r.h.wins.Add(1)
	}
	if r.h.sketch != nil {
		// Where a hedge won, the first attempt would have taken longer still.
		r.h.sketch.record(r.h.now() - r.begin)
	}
	r.observe(Event{Kind: Succeeded, Attempt: r.winner.number})
	return r.value, r.winner, nil
}

// wait returns when the race is over, which the end of the caller's context makes
// it too.
func (r *race[T]) wait() {
	r.mu.Lock()
	if r.over {
		r.mu.Unlock()
		return
	}
	r.done = make(chan struct{})
	done := r.done
	r.mu.Unlock()
	select {
	case <-done:
	case <-r.parent.Done():
		r.mu.Lock()
		if !r.over {
			if r.cause = context.Cause(r.parent); r.err == nil {
				r.err, r.cause = r.cause, nil
			}
		}
		r.end(nil)
	}
}

// fire begins an attempt beside those that run. It is called on a goroutine of
// the timer's.
func (r *race[T]) fire() {
	r.mu.Lock()
	c, refused := r.start(false)
	r.mu.Unlock()
	r.report(c, refused)
	r.attempts(c, false)
}

// start books a further attempt, if the limits allow one. It is called with the
// lock held.
func (r *race[T]) start(free bool) (c *raceContext, refused bool) {
	if r.over || r.begun >= r.h.cfg.Max {
		return nil, false
	}
	if !free && !r.h.cfg.Budget.withdraw() {
		r.refused = true
		r.h.refused.Add(1)
		return nil, true
	}
	r.begun++
	r.running++
	r.h.hedges.Add(1)
	c = &raceContext{Context: r.parent, number: r.begun}
	r.others = append(r.others, c)
	if delay := r.h.delay(); delay >= 0 && r.timer != nil && r.begun < r.h.cfg.Max {
		r.timer.Reset(delay)
	}
	return c, false
}

func (r *race[T]) report(c *raceContext, refused bool) {
	if c != nil {
		r.observe(Event{Kind: Hedging, Attempt: c.number})
	} else if refused {
		r.observe(Event{Kind: Unhedged})
	}
}

// attempts runs the attempt of c and, as long as they fail at once, those after
// it. Inline, panics are the caller's.
func (r *race[T]) attempts(c *raceContext, inline bool) {
	for c != nil {
		var v T
		var err error
		if inline {
			v, err = r.op(c)
		} else {
			v, err = r.guarded(c)
		}
		c = r.settle(c, v, err)
	}
}

// guarded hands a panic and runtime.Goexit on to the caller. Where the caller has
// gone they take their course.
func (r *race[T]) guarded(c *raceContext) (v T, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		r.mu.Lock()
		if r.over {
			r.mu.Unlock()
			return
		}
		r.panics = recover()
		r.exits = r.panics == nil
		r.end(nil)
	}()
	v, err = r.op(c)
	returned = true
	return v, err
}

// settle books the end of an attempt. It returns the context of the one to follow
// at once, or nil.
func (r *race[T]) settle(c *raceContext, v T, err error) *raceContext {
	var verdict verdict
	if err != nil {
		if r.judge != nil {
			verdict = r.judge(err)
		} else {
			verdict = classify(r.parent, r.h.cfg.Classify, err)
		}
	}
	r.mu.Lock()
	r.running--
	if r.over {
		r.mu.Unlock()
		c.cancel(nil)
		r.drop(v, err)
		return nil
	}
	r.sent = r.sent || !verdict.rejected
	// Of an earlier failure only the error is of use now.
	old, oldErr, oldContext := r.value, r.err, r.winner
	r.value, r.err, r.winner = v, err, c
	var next *raceContext
	var refused bool
	decided := err == nil || verdict.stop
	if !decided {
		if verdict.after <= 0 {
			next, refused = r.start(verdict.rejected)
		}
		decided = r.running == 0
		if decided && r.refused && r.begun < r.h.cfg.Max {
			r.cause = ErrBudget
		} else if decided && r.begun > 1 {
			r.cause = ErrExhausted
		}
	}
	if next != nil { // and of this one: what it holds is given back before the next begins
		var none T
		r.value, r.winner = none, nil
	}
	if decided {
		r.end(c)
	} else {
		r.mu.Unlock()
	}
	if oldContext != nil {
		r.drop(old, oldErr)
		oldContext.cancel(nil)
	}
	if next != nil {
		r.drop(v, err)
		c.cancel(nil)
	}
	r.report(next, refused)
	return next
}

// end ends the race and cancels all attempts but the winner. It is called with the
// lock held, and releases it.
func (r *race[T]) end(winner *raceContext) {
	if r.over {
		r.mu.Unlock()
		return
	}
	r.over = true
	if r.armed {
		r.armed = !r.timer.Stop()
	}
	if r.done != nil {
		close(r.done)
	}
	r.mu.Unlock() // others does not change any more
	if winner != r.first {
		r.first.cancel(errBeaten)
	}
	for _, c := range r.others {
		if c != winner {
			c.cancel(errBeaten)
		}
	}
}

// alone reports whether no other goroutine has, or will have, to do with the race:
// its only attempt was the caller's.
func (r *race[T]) alone() bool { return r.h.cfg.Inline && r.begun == 1 && !r.armed }

// drop gives away what does not reach the caller.
func (r *race[T]) drop(v T, err error) {
	switch {
	case r.lose != nil:
		r.lose(v, err)
	case r.discard != nil && err == nil:
		r.discard(v)
	}
}

func (r *race[T]) observe(e Event) {
	if r.h.cfg.Observe != nil {
		e.Elapsed = r.h.now() - r.begin
		r.h.cfg.Observe(r.parent, e)
	}
}
