package ratelimit

import "context"

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

// A waiter is a call that waits.
type waiter struct {
	n          int
	low        bool
	queued     bool
	prev, next *waiter
	end        chan error // buffered
	receipt    receipt    // of a Limiter, for what was taken
	err        error      // why it is refused
}

// A queue is a list of waiters that any of them can leave.
type queue struct {
	first, last *waiter
	sum         int64 // of what its waiters weigh
}

// weight is n as the sums count it, which cannot overflow.
func (w *waiter) weight() int64 { return min(int64(w.n), maxWeight) }

// appendLocked puts w at the end of its queue.
func (l *line) appendLocked(w *waiter) {
	w.queued = true
	q := l.class(w)
	if w.prev = q.last; w.prev != nil {
		w.prev.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.sum += w.weight()
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
