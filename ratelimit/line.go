package ratelimit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPassed is how many high calls are served in a row while a low one waits.
	maxPassed = 7
	// maxQueue and maxWeight bound sums of weights to what an int64 holds.
	maxQueue  = 1 << 20
	maxWeight = 1 << 42
)

type lowKey struct{}

// LowPriority returns a context whose calls wait behind all others at a [Limiter], a
// [Keyed] or a [Bulkhead]. Within a priority, calls are served in the order in which
// they came. Calls of low priority do not starve: while both kinds wait, at least one
// of eight calls that are served is of low priority.
func LowPriority(ctx context.Context) context.Context {
	return context.WithValue(ctx, lowKey{}, true)
}

// IsLowPriority reports whether ctx is, or derives from, what [LowPriority] returned.
// It is for an [Acquirer] or a [Waiter] of your own.
func IsLowPriority(ctx context.Context) bool {
	low, _ := ctx.Value(lowKey{}).(bool)
	return low
}

// A line is where calls wait for tokens or places. It takes for a call when its
// turn comes, and not before: a call that leaves early has nothing to give back.
type line struct {
	name   string
	places int // for calls that wait

	// takeLocked takes for a call, or changes nothing and returns the time after
	// which it is worth trying again; never, if that is not known.
	takeLocked func(*waiter) (after time.Duration)
	// mostLocked is the greatest n that can ever be taken.
	mostLocked func() int
	// markLocked is told when the first call begins to wait and when none does any
	// more; it may be nil.
	markLocked func(waiting bool)
	// longestLocked is how long a call for n waits at most behind calls for ahead if
	// none is preferred to it later; nil: there is no telling.
	longestLocked func(ahead int64, n int) time.Duration

	waiting atomic.Int64 // changes with mu held
	mu      sync.Mutex
	high    queue
	low     queue
	passed  int         // high calls served in a row while a low one waited
	timer   *time.Timer // nil: none is running
}

// A waiter is a call that waits.
type waiter struct {
	n          int
	low        bool
	queued     bool
	prev, next *waiter
	end        chan error // buffered
	receipt    receipt    // of a Limiter, for what was taken
}

// A queue is a list of waiters that any of them can leave.
type queue struct {
	first, last *waiter
	sum         int64 // of what its waiters weigh
}

// weight is n as the sums count it, which cannot overflow.
func (w *waiter) weight() int64 { return min(int64(w.n), maxWeight) }

// wait waits until enough was taken for w, or returns an *Error.
func (l *line) wait(ctx context.Context, w *waiter) error {
	w.end = make(chan error, 1)
	w.low = IsLowPriority(ctx)
	if err := l.join(ctx, w); err != nil {
		return err
	}
	select {
	case err := <-w.end:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	if !w.queued { // its turn has come at the same time
		l.mu.Unlock()
		return <-w.end
	}
	l.leaveLocked(w)
	l.serveLocked()
	l.mu.Unlock()
	return ended(l.name, ctx)
}

func (l *line) join(ctx context.Context, w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.n > l.mostLocked() {
		return &Error{Name: l.name, Cause: ErrTooLarge}
	}
	if l.waiting.Load() >= int64(l.places) {
		// There may be no need for a place.
		if l.waiting.Load() == 0 && l.takeLocked(w) <= 0 {
			w.end <- nil
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
	w.queued = true
	q := l.class(w)
	if w.prev = q.last; w.prev != nil {
		w.prev.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.sum += w.weight()
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
	return max(0, l.longestLocked(ahead, w.n))
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

// leaveLocked takes w out of its queue.
func (l *line) leaveLocked(w *waiter) {
	q := l.class(w)
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	q.sum -= w.weight()
	if l.waiting.Add(-1) == 0 && l.markLocked != nil {
		l.markLocked(false)
	}
}

func (l *line) class(w *waiter) *queue {
	if w.low {
		return &l.low
	}
	return &l.high
}

// headLocked returns the waiter whose turn is next, or nil.
func (l *line) headLocked() *waiter {
	if l.low.first != nil && (l.high.first == nil || l.passed >= maxPassed) {
		return l.low.first
	}
	return l.high.first
}

// serve lets all through for whom there is enough, in their order.
func (l *line) serve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked()
}

func (l *line) serveLocked() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil // one that is kept would bind an idle line to a synctest bubble
	}
	for {
		w := l.headLocked()
		if w == nil {
			return
		}
		var err error
		if w.n > l.mostLocked() { // since the limit was lowered
			err = &Error{Name: l.name, Cause: ErrTooLarge}
		} else if after := l.takeLocked(w); after == never {
			return
		} else if after > 0 {
			l.timer = time.AfterFunc(after, l.serve)
			return
		}
		if w.low || l.low.first == nil {
			l.passed = 0
		} else {
			l.passed++
		}
		l.leaveLocked(w)
		w.end <- err
	}
}
