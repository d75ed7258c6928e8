package ratelimit

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/time/rate"
)

// SetLimit changes the rate. The tokens stay, and calls that wait are served at the new
// rate. SetLimit panics if limit is not valid, as [New] does, or l is nil.
func (l *Limiter) SetLimit(limit rate.Limit) {
	l.change("SetLimit", func(b *bucket) (rate.Limit, int) { return limit, b.burst })
}

// SetBurst changes how many tokens the bucket holds. The tokens stay, as far as there is
// room for them. A call that waits for more than burst is refused when its turn comes.
// SetBurst panics if burst is less than 1 or not valid, as [New] does, or l is nil.
func (l *Limiter) SetBurst(burst int) {
	l.change("SetBurst", func(b *bucket) (rate.Limit, int) { return b.limit, burst })
}

func (l *Limiter) change(method string, change func(*bucket) (rate.Limit, int)) {
	if l == nil {
		panic("ratelimit: a nil *Limiter has no limit to change; make one with New")
	}
	l.replace(method, change)
	l.others.serve()
}

func (l *Limiter) replace(method string, change func(*bucket) (rate.Limit, int)) {
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	old := l.current()
	limit, burst := change(old)
	err := validTerms("Limiter."+method+": ", limit, burst)
	if burst < 1 {
		err = fmt.Errorf("ratelimit: Limiter.%s: Burst is %d, want 1 or more", method, burst)
	}
	if err != nil {
		panic(err.Error())
	}
	l.bucket.Store(old.replace(newTerms(limit, burst), time.Since(l.epoch)))
	l.calls.Add(old.calls.Swap(closed))
	l.refused.Add(old.refused.Swap(closed))
	l.line.serveLocked()
}

// Tokens returns how many tokens there are. The number is negative while there is a debt
// from a [Charge] that cost more than its estimate.
func (l *Limiter) Tokens() float64 {
	if l == nil {
		return math.Inf(1)
	}
	b, fullAt := l.state()
	if b.interval == 0 {
		return math.Inf(1)
	}
	missing := max(0, fullAt-time.Since(l.epoch))
	return float64(b.burst) - float64(missing)/float64(b.interval)
}

// Limit returns the rate, in tokens per second.
func (l *Limiter) Limit() rate.Limit {
	if l == nil {
		return rate.Inf
	}
	return l.current().limit
}

// Burst returns how many tokens the bucket holds.
func (l *Limiter) Burst() int {
	if l == nil {
		return math.MaxInt
	}
	return l.current().burst
}

// most is the most that can be taken at once.
func (l *Limiter) most() int {
	if b := l.current(); b.interval > 0 {
		return b.burst
	}
	return math.MaxInt
}

// longest is how long after a time there are n tokens and those ahead before.
func (l *Limiter) longest(ahead int64, n int, at time.Time) time.Duration {
	b, fullAt := l.state()
	if b.interval == 0 {
		return 0
	}
	now := at.Sub(l.epoch)
	return b.cost(ahead+int64(n)) + max(fullAt, now) - now - b.full
}

// state returns the current bucket and when it will be full.
func (l *Limiter) state() (*bucket, time.Duration) {
	for {
		b := l.current()
		if fullAt := b.fullAt.Load(); fullAt != moved {
			return b, time.Duration(fullAt)
		}
		runtime.Gosched() // until its successor is there
	}
}

// decision describes a bucket that will be full at fullAt.
func (t *terms) decision(fullAt, now time.Duration) Decision {
	if t.interval == 0 {
		return Decision{Remaining: math.MaxInt, Burst: t.burst}
	}
	missing := max(0, fullAt-now)
	return Decision{
		Remaining:  int(max(0, t.full-missing) / t.interval),
		ResetAfter: missing,
		Burst:      t.burst,
		Window:     t.full,
	}
}
