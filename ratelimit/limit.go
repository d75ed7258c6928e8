package ratelimit

import (
	"cmp"
	"math"
	"runtime"
	"time"

	"golang.org/x/time/rate"
)

// SetLimit changes the rate. The tokens stay, and calls that wait are served at the new
// rate. SetLimit panics if limit is not valid, as [New] does, or l is nil.
func (l *Limiter) SetLimit(limit rate.Limit) {
	l.change(func(cfg *Config) { cfg.Rate = limit })
}

// SetBurst changes how many tokens the bucket holds. The tokens stay, as far as there is
// room for them. A call that waits for more than burst is refused when its turn comes.
// SetBurst panics if burst is less than 1 or not valid, as [New] does, or l is nil.
func (l *Limiter) SetBurst(burst int) {
	l.change(func(cfg *Config) { cfg.Burst = cmp.Or(burst, -1) })
}

func (l *Limiter) change(change func(*Config)) {
	if l == nil {
		panic("ratelimit: a nil *Limiter has no limit to change; make one with New")
	}
	l.replace(change)
	l.others.serve()
}

func (l *Limiter) replace(change func(*Config)) {
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	old := l.bucket.Load()
	cfg := Config{Rate: old.limit, Burst: old.burst}
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	l.bucket.Store(old.replace(newTerms(cfg.Rate, cfg.Burst), time.Since(l.epoch)))
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
	return l.bucket.Load().limit
}

// Burst returns how many tokens the bucket holds.
func (l *Limiter) Burst() int {
	if l == nil {
		return math.MaxInt
	}
	return l.bucket.Load().burst
}

// most is the most that can be taken at once.
func (l *Limiter) most() int {
	if b := l.bucket.Load(); b.interval > 0 {
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
		b := l.bucket.Load()
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
