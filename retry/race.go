package retry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// errBeaten is the cause with which the contexts of losers end.
var errBeaten = errors.New("retry: another attempt was faster")

// race is one hedged call. Its attempts run on goroutines of their own, the first
// one on the caller's if it is inline. Code of the caller's (op, Classify, Observe,
// discard) is called without the lock.
type race[T any] struct {
	h       *Hedger
	parent  context.Context
	op      func(context.Context) (T, error)
	judge   func(context.Context, error) verdict // nil: the Hedger's
	discard func(T)                              // gets each value that does not reach the caller; nil: nobody
	lose    func(T, error)                       // the same, of failures too
	park    func(T)                              // gets a failure's value before the next attempt begins; nil: nobody
	begin   time.Duration
	first   entrant

	mu      sync.Mutex
	timer   *time.Timer   // begins the next attempt
	armed   bool          // and may call fire
	done    chan struct{} // closed when over; made when the caller waits
	begun   int           // attempts
	running int
	sent    int   // of those that have ended, how many were more than a refusal
	refused int   // and how many were not
	refusal error // the latest of them
	denied  bool  // the budget refused an attempt
	over    bool
	others  []*entrant
	result  result[T] // of the attempt that has decided, or the latest that failed
}

// An entrant is an attempt in a race.
type entrant struct {
	number int
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (e *entrant) enter(parent context.Context, number int) {
	e.number = number
	e.ctx, e.cancel = context.WithCancelCause(parent)
	if number > 1 {
		e.ctx = withAttempt(e.ctx, Attempt{Number: number, Hedge: true})
	}
}

// A result is how an attempt ended.
type result[T any] struct {
	by      *entrant
	value   T
	err     error
	verdict verdict // about err
	cause   error   // why no other attempt follows
	panic   any
	exits   bool // runtime.Goexit was called
}

// run returns the value and error of the attempt that decides the race, and that
// attempt. Its context is to be cancelled when the value is not used any more.
func (r *race[T]) run() (v T, by *entrant, err error) {
	r.begin = r.h.now()
	r.begun, r.running = 1, 1
	r.first.enter(r.parent, 1)
	returned := false
	defer func() {
		if !returned { // code of the caller's panics, or has called runtime.Goexit
			r.mu.Lock()
			r.endLocked()
			lost := r.result
			r.mu.Unlock()
			r.drop(lost)
		}
	}()
	r.arm()
	if r.h.cfg.Inline {
		r.attempts(&r.first, true)
	} else {
		go r.apart(&r.first, 0, false)
	}
	r.wait()
	switch res := &r.result; {
	case res.exits:
		runtime.Goexit()
	case res.panic != nil:
		panic(res.panic)
	case res.err != nil:
		r.observe(Event{Kind: GaveUp, Attempt: r.begun, Err: res.err, Cause: res.cause})
	default:
		r.won()
	}
	returned = true
	return r.result.value, r.result.by, r.result.err
}

// won books a success.
func (r *race[T]) won() {
	number := r.result.by.number
	if number > 1 {
		r.h.wins.Add(1)
	}
	if r.h.sketch != nil {
		// Where a hedge won, the first attempt would have taken longer still.
		r.h.sketch.record(r.h.now() - r.begin)
	}
	r.observe(Event{Kind: Succeeded, Attempt: number})
}

// arm starts the timer for the second attempt.
func (r *race[T]) arm() {
	delay := r.h.delay()
	if delay < 0 || r.h.cfg.Max == 1 {
		return
	}
	r.mu.Lock() // against fire, which may be called before timer is set
	defer r.mu.Unlock()
	if r.armed = true; r.timer == nil {
		r.timer = time.AfterFunc(delay, r.fire)
	} else {
		r.timer.Reset(delay)
	}
}

// wait returns when the race is over, which the end of the caller's context makes
// it too.
func (r *race[T]) wait() {
	r.mu.Lock()
	if !r.over {
		r.done = make(chan struct{})
	}
	done := r.done
	r.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-r.parent.Done():
		cause := context.Cause(r.parent)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.over {
			return
		}
		if r.sent == 0 {
			r.result.err = cause
		} else {
			r.result.cause = cause
		}
		r.endLocked()
	}
}

// fire begins an attempt beside those that run. It is called on a goroutine of
// the timer's.
func (r *race[T]) fire() {
	r.mu.Lock()
	number, denied := r.bookLocked(false)
	r.mu.Unlock()
	r.apart(nil, number, denied)
}

// bookLocked counts a further attempt and returns its number, 0 if the limits
// allow none. denied says that the budget did not.
func (r *race[T]) bookLocked(free bool) (number int, denied bool) {
	if r.over || r.begun >= r.h.cfg.Max {
		return 0, false
	}
	if !free && !r.h.cfg.Budget.withdraw() {
		r.denied = true
		r.h.refused.Add(1)
		return 0, true
	}
	r.begun++
	r.running++
	if delay := r.h.delay(); delay >= 0 && r.timer != nil && r.begun < r.h.cfg.Max {
		r.timer.Reset(delay)
	}
	return r.begun, false
}

// follow begins the attempt that was booked with number, or tells that the budget
// denied one. It returns nil if there is none to begin. A retry that was paid for
// and is not made, because the race has ended, is given back.
func (r *race[T]) follow(number int, paid, denied, inline bool) *entrant {
	if denied {
		r.tell(Event{Kind: Refused}, inline)
	}
	if number == 0 {
		return nil
	}
	e := new(entrant)
	e.enter(r.parent, number)
	if !r.enlist(e) {
		e.cancel(errBeaten)
		if paid {
			r.h.cfg.Budget.refund()
		}
		return nil
	}
	if paid {
		r.h.cfg.Budget.made()
	}
	r.h.hedges.Add(1)
	r.tell(Event{Kind: Hedging, Attempt: number}, inline)
	return e
}

// enlist makes e known to the end of the race. It reports false if that has come.
func (r *race[T]) enlist(e *entrant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.others = append(r.others, e)
	}
	return !r.over
}

// apart runs e, or the attempt with the given number, on a goroutine of the race's.
// A panic or runtime.Goexit there becomes the caller's. If the caller has gone, a
// panic is told to Observe; without Observe it takes its course.
func (r *race[T]) apart(e *entrant, number int, denied bool) {
	var late any
	returned := false
	defer func() {
		if late != nil {
			r.tell(Event{Kind: Panicked, Err: fmt.Errorf("retry: panic after Hedge had returned: %v", late)}, false)
		}
	}()
	defer func() {
		if returned {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.over {
			r.result.panic = recover()
			r.result.exits = r.result.panic == nil
			r.endLocked()
		} else if r.h.cfg.Observe != nil {
			late = recover()
		}
	}()
	if e == nil {
		e = r.follow(number, true, denied, false)
	}
	r.attempts(e, false)
	returned = true
}

// attempts runs the attempt of e and, as long as they fail at once, those after it.
func (r *race[T]) attempts(e *entrant, inline bool) {
	for e != nil {
		v, err := r.op(e.ctx)
		e = r.settle(e, v, err, inline)
	}
}

// alone reports whether no other goroutine has, or will have, to do with the race:
// its only attempt was the caller's.
func (r *race[T]) alone() bool { return r.h.cfg.Inline && r.begun == 1 && !r.armed }

func (r *race[T]) observe(e Event) {
	if r.h.cfg.Observe != nil {
		e.Name, e.Elapsed = r.h.cfg.Name, r.h.now()-r.begin
		r.h.cfg.Observe(r.parent, e)
	}
}

// tell is observe in the midst of a race. A panic of Observe is the caller's if it
// is inline, and otherwise dropped and counted.
func (r *race[T]) tell(e Event, inline bool) {
	returned := inline
	defer func() {
		if !returned { // a runtime.Goexit counts, too
			recover()
			r.h.panics.Add(1)
		}
	}()
	r.observe(e)
	returned = true
}
