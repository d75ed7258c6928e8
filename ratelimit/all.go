package ratelimit

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// All returns a [Waiter] for a call that several limits apply to, such as one per
// second and one per minute. It takes a token of each at one moment, or of none, and
// so spends nothing while it waits. Its Wait has the errors of [Limiter.Wait].
//
// All panics if a limiter was not made by [New]; a nil one has no limit.
//
// Calls that wait here have a queue of their own, of 1024 at most. They hold no place in
// the queues of the single limiters, so that a limit that is used up does not delay calls
// that only the others apply to. Calls that wait for a single limiter come first.
func All(limiters ...*Limiter) Waiter {
	a := &all{line: line{places: 1024}}
	for _, l := range limiters {
		if l != nil {
			l.current()
		}
		if l != nil && !slices.Contains(a.limiters, l) {
			a.limiters = append(a.limiters, l)
		}
	}
	a.line.takeLocked = func(_ *waiter, at time.Time) time.Duration { return a.take(at) }
	a.line.mostLocked = func() int { return math.MaxInt }
	a.line.longestLocked = a.longest
	a.line.markLocked = a.markLocked
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
	case a.line.waiting.Load() == 0 && a.take(time.Now()) <= 0:
	default:
		since = time.Now()
		err = a.line.wait(ctx, &waiter{n: 1})
	}
	for _, l := range a.limiters {
		l.waitedFor(ctx, 1, since, err)
	}
	return err
}

// longest is how long the slowest limit takes for as many.
func (a *all) longest(ahead int64, n int, at time.Time) (after time.Duration) {
	for _, l := range a.limiters {
		after = max(after, l.longest(ahead+l.line.sum(), n, at))
	}
	return after
}

// take takes one token of each limiter, or none and returns when to try again.
func (a *all) take(at time.Time) (after time.Duration) {
	if len(a.limiters) == 0 {
		return 0
	}
	// Look first, so that others need not see tokens disappear and come back.
	if after := a.longest(0, 1, at); after > 0 {
		return after
	}
	var few [4]receipt
	got := few[:0]
	for _, l := range a.limiters {
		l.line.mu.Lock()
		r, after := l.payLocked(1, at)
		l.line.mu.Unlock()
		if after > 0 { // another was faster
			for i, r := range got {
				if l := a.limiters[i]; l.giveBack(r, 1) {
					time.AfterFunc(0, l.others.serve) // not with the lock of this line
				}
			}
			return after
		}
		got = append(got, r)
	}
	return 0
}

// markLocked lets the limiters know whether there is a line to be served when they
// change; the lock is that of the line.
func (a *all) markLocked(waiting bool) {
	for _, l := range a.limiters {
		if waiting {
			l.others.add(&a.line)
		} else {
			l.others.remove(&a.line)
		}
	}
}

// lines are those in which calls wait for a Limiter and for others as well. Its lock is
// the last to be taken; the lines are served without it.
type lines struct {
	mu   sync.Mutex
	list []*line
}

func (ls *lines) add(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.list = append(ls.list, l)
}

func (ls *lines) remove(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.list = slices.DeleteFunc(ls.list, func(other *line) bool { return other == l })
}

// serve looks whether those that wait can be served, now that there may be more.
func (ls *lines) serve() {
	ls.mu.Lock()
	list := slices.Clone(ls.list)
	ls.mu.Unlock()
	for _, l := range list {
		l.serve()
	}
}
