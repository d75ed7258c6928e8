package ratelimit

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLate is how late a timer may be and no time is lost. Real ones are late by
	// about a millisecond.
	maxLate = 10 * time.Millisecond
	// renewEvery is how soon those that wait learn of a change that nobody tells.
	renewEvery = time.Second
)

// A line is where calls wait for tokens or places. It takes for a call when its
// turn comes, and not before: a call that leaves early has nothing to give back.
//
// The call at the head takes at the time at which it was due, although the timer that
// says so is late. Otherwise a bucket that holds few tokens would lose, each time, what
// flowed in since.
type line struct {
	name   string
	places int // for calls that wait

	// takeLocked takes for a call at a time that is not after now, or changes nothing
	// and returns how long after that time it is worth trying again; never, if that
	// is not known. It sets err of one that is refused for good.
	takeLocked func(w *waiter, at time.Time) (after time.Duration)
	// mostLocked is the greatest n that can ever be taken.
	mostLocked func() int
	// longestLocked is how long after a time a call for n is served behind calls for
	// ahead, if none is preferred to it later. nil: time has no part in it.
	longestLocked func(ahead int64, n int, at time.Time) time.Duration
	// markLocked is told when the first call begins to wait and when none does any
	// more; it may be nil.
	markLocked func(waiting bool)
	// left is told, without the lock, that a call has gone without taking; it may be
	// nil.
	left func()
	// renew is called every second by each call that waits, without the lock, since
	// the limit may have changed; nil: whoever changes it serves the line.
	renew func()
	// late is how late a timer is, in simulations.
	late func() time.Duration

	waiting atomic.Int64 // changes with mu held
	mu      sync.Mutex
	high    queue
	low     queue
	passed  int         // high calls served in a row while a low one waited
	timer   *time.Timer // nil: none is running
	due     time.Time   // when timer should run
}

// wait waits until enough was taken for w, or returns an *Error.
func (l *line) wait(ctx context.Context, w *waiter) error {
	w.end = make(chan error, 1)
	w.low = IsLowPriority(ctx)
	if err := l.join(ctx, w); err != nil {
		return err
	}
	var again <-chan time.Time
	if l.renew != nil {
		ticker := time.NewTicker(renewEvery)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		select {
		case err := <-w.end:
			return err
		case <-again:
			l.renewFor(w)
		case <-ctx.Done():
			if !l.abandon(w) { // its turn has come at the same time
				return <-w.end
			}
			return ended(l.name, ctx)
		}
	}
}

// renewFor calls renew, which may panic, for a call that waits.
func (l *line) renewFor(w *waiter) {
	returned := false
	defer func() {
		if !returned {
			l.abandon(w)
		}
	}()
	l.renew()
	returned = true
}

// abandon takes w out of its queue, unless its turn has come.
func (l *line) abandon(w *waiter) (ok bool) {
	if !l.unlink(w) {
		return false
	}
	if l.left != nil {
		l.left()
	}
	return true
}

func (l *line) unlink(w *waiter) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ok = w.queued; ok {
		l.leaveLocked(w)
		l.serveLocked()
	}
	return ok
}

func (l *line) join(ctx context.Context, w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.n > l.mostLocked() {
		return &Error{Name: l.name, Cause: ErrTooLarge}
	}
	if l.waiting.Load() >= int64(l.places) {
		// There may be no need for a place.
		if l.waiting.Load() == 0 && l.takeLocked(w, l.now()) <= 0 {
			w.end <- w.err
			return nil
		}
		return &Error{Name: l.name, Cause: ErrFull, after: l.estimateLocked(w)}
	}
	if deadline, ok := ctx.Deadline(); ok && l.longestLocked != nil {
		if after := l.estimateLocked(w); time.Until(deadline) < after {
			return &Error{Name: l.name, Cause: ErrDeadline, after: after}
		}
	}
	if l.waiting.Add(1) == 1 && l.markLocked != nil {
		l.markLocked(true)
	}
	l.appendLocked(w)
	if l.headLocked() == w {
		l.serveLocked()
	}
	return nil
}

// estimateLocked returns longestLocked for w, or 0 if there is no telling.
func (l *line) estimateLocked(w *waiter) time.Duration {
	if l.longestLocked == nil {
		return 0
	}
	ahead := l.high.sum
	if w.low {
		ahead += l.low.sum
	}
	return max(0, l.longestLocked(ahead, w.n, time.Now()))
}

// sum is what all want that wait.
func (l *line) sum() int64 {
	if l.waiting.Load() == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.high.sum + l.low.sum
}

// estimateNew is the estimate for a call of n that comes now.
func (l *line) estimateNew(n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.estimateLocked(&waiter{n: n})
}

// serve lets all through for whom there is enough, in their order.
func (l *line) serve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked()
}

func (l *line) serveLocked() {
	now := l.now()
	at := now
	if l.timer != nil {
		if late := now.Sub(l.due); late > 0 {
			at = now.Add(-min(late, maxLate))
		}
		l.timer.Stop()
		l.timer = nil // one that is kept would bind an idle line to a synctest bubble
	}
	for w := l.headLocked(); w != nil; w = l.headLocked() {
		var err error
		if w.n > l.mostLocked() { // since the limit was lowered
			err = &Error{Name: l.name, Cause: ErrTooLarge}
		} else if after := l.takeLocked(w, at); after == never {
			return
		} else if after > 0 {
			if at = at.Add(after); !at.After(now) {
				continue
			}
			l.due = at
			l.timer = time.AfterFunc(at.Sub(now)+l.lateness(), l.serve)
			return
		}
		if w.low || l.low.first == nil {
			l.passed = 0
		} else {
			l.passed++
		}
		l.leaveLocked(w)
		w.end <- cmp.Or(err, w.err)
	}
}

// now is the time, where that has a part in it.
func (l *line) now() (t time.Time) {
	if l.longestLocked != nil {
		t = time.Now()
	}
	return t
}

func (l *line) lateness() time.Duration {
	if l.late == nil {
		return 0
	}
	return l.late()
}
