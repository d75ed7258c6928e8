package ratelimit

import (
	"context"
	"time"
)

// A Charge is an estimate, in tokens, that was paid for a call. Its actual cost is known
// only afterwards, as with APIs that bill by tokens. Make it with [Limiter.Charge].
type Charge struct {
	limiter *Limiter // nil: nothing to settle
	n       int
	receipt receipt
}

// Charge waits for n tokens as [Limiter.WaitN] does, and has its errors; n is an
// estimate. Settle the Charge when the actual cost is known. Without that the estimate
// stands. A Charge that comes with an error is empty: to settle it does nothing.
func (l *Limiter) Charge(ctx context.Context, n int) (Charge, error) {
	if l == nil || n <= 0 || ctx.Err() != nil {
		if err := l.WaitN(ctx, n); err != nil {
			return Charge{}, err
		}
		return Charge{limiter: l}, nil
	}
	if l.bucket.Load() == nil {
		return Charge{}, &Error{Cause: errLimiterNotMade}
	}
	l.line.mu.Lock()
	r, after := receipt{}, never
	if l.line.waiting.Load() == 0 {
		r, after = l.payLocked(n, time.Now())
	}
	l.line.mu.Unlock()
	if after > 0 {
		w := &waiter{n: n}
		if err := l.queue(ctx, w); err != nil {
			return Charge{}, err
		}
		r = w.receipt
	} else {
		l.waitedFor(ctx, n, time.Time{}, nil)
	}
	return Charge{l, n, r}, nil
}

// Settle corrects the estimate. If actual is more, the difference is owed: no call is
// let through until it has flowed in. If actual is less, the difference is given back,
// except for what would have overflowed the bucket since. A bucket that takes longer to
// fill than the call took gets all of it back. A bucket whose limit has changed
// meanwhile gets nothing. Only the first Settle on a variable counts. A negative actual
// panics.
func (c *Charge) Settle(actual int) {
	check(actual)
	l := c.limiter
	if l == nil {
		return
	}
	c.limiter = nil
	if actual <= c.n {
		l.refund(c.receipt, c.n-actual)
		return
	}
	for {
		b, _ := l.state()
		if b.interval == 0 || b.owe(b.cost(int64(actual-c.n)), time.Since(l.epoch)) {
			return
		}
	}
}

// A receipt is for tokens that were taken, and perhaps are to be given back.
type receipt struct {
	bucket *bucket
	filled time.Duration // when it was to be full then
	given  time.Duration // the limiter's given at that time
}

// payLocked is takeAt with a receipt; the lock is that of the line.
func (l *Limiter) payLocked(n int, at time.Time) (r receipt, after time.Duration) {
	b, filled, after := l.takeAt(max(0, at.Sub(l.epoch)), n)
	return receipt{b, filled, l.given}, after
}

// refund gives n tokens back that were not used, to those that wait first.
func (l *Limiter) refund(r receipt, n int) {
	if l.giveBack(r, n) {
		l.others.serve()
	}
}

// giveBack is refund without those that wait for other limits as well.
//
// Had the tokens not been taken, the bucket would have been full earlier, and from then
// on tokens would have been lost. It cannot have been full before filled, less the time
// that n tokens take, less what others were given back since; what flowed in after
// that is held to be lost. So nobody gets more than if they had not been taken.
func (l *Limiter) giveBack(r receipt, n int) (ok bool) {
	if r.bucket == nil || r.bucket.interval == 0 {
		return false
	}
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	for {
		fullAt := r.bucket.fullAt.Load()
		now := time.Since(l.epoch) // later than whatever has led to fullAt
		back := min(r.bucket.cost(int64(n)), r.filled-(l.given-r.given)-now)
		if back <= 0 || fullAt == moved {
			return false
		}
		if r.bucket.fullAt.CompareAndSwap(fullAt, fullAt-int64(back)) {
			l.given += back
			break
		}
	}
	l.line.serveLocked()
	return true
}
