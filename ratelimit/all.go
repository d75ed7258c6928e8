package ratelimit

import (
	"context"
	"math"
	"slices"
	"time"
)

// All returns a [Waiter] for a call that several limits apply to, such as one per
// second and one per minute. It takes a token of each at one moment, or of none, and
// so spends nothing while it waits. Its Wait has the errors of [Limiter.Wait].
//
// Calls that wait here queue among themselves, 1024 at most. They hold no place in
// the queues of the single limiters, so that one limit that is used up does not hold
// up calls that only the others apply to; while calls wait there, these come first.
func All(limiters ...*Limiter) Waiter {
	a := &all{line: line{places: 1024}}
	for _, l := range limiters {
		if l != nil && !slices.Contains(a.limiters, l) {
			a.limiters = append(a.limiters, l)
		}
	}
	a.line.takeLocked = func(*waiter) time.Duration { return a.take() }
	a.line.mostLocked = func() int { return math.MaxInt }
	a.line.longestLocked = a.longest
	return a
}

type all struct {
	limiters []*Limiter
	line     line
}

// Wait implements [Waiter].
func (a *all) Wait(ctx context.Context) (err error) {
	since := time.Time{}
	switch {
	case ctx.Err() != nil:
		err = ended("", ctx)
	case a.line.waiting.Load() == 0 && a.take() <= 0:
	default:
		since = time.Now()
		err = a.line.wait(ctx, &waiter{n: 1})
	}
	for _, l := range a.limiters {
		l.observe.waited(ctx, 1, since, err)
	}
	return err
}

// longest is how long the slowest limit takes for as many.
func (a *all) longest(ahead int64, n int) (after time.Duration) {
	for _, l := range a.limiters {
		after = max(after, l.longest(ahead+l.line.sum(), n))
	}
	return after
}

// take takes one token of each limiter, or none and returns when to try again.
func (a *all) take() (after time.Duration) {
	if len(a.limiters) == 0 {
		return 0
	}
	// Look first, so that others need not see tokens disappear and come back.
	if after := a.longest(0, 1); after > 0 {
		return after
	}
	var few [4]receipt
	got := few[:0]
	for _, l := range a.limiters {
		l.line.mu.Lock()
		r, after := l.payLocked(1)
		l.line.mu.Unlock()
		if after > 0 { // another was faster
			for i, r := range got {
				a.limiters[i].refund(r, 1)
			}
			return after
		}
		got = append(got, r)
	}
	return 0
}
