package ratelimit

import (
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// longest bounds a bucket's capacity in time (73 years) and the age of a
	// limiter, so that sums of three of them do not overflow.
	longest = math.MaxInt64 / 4
	// moved stands in a bucket that another has replaced. Nothing conforms to it.
	moved = math.MaxInt64 / 2
	// never is the wait for what time alone does not bring.
	never = time.Duration(math.MaxInt64)
)

// A terms is a limit as the arithmetic needs it.
type terms struct {
	limit    rate.Limit
	burst    int
	interval time.Duration // between two tokens; 0: no limit
	full     time.Duration // from an empty bucket to a full one
}

func newTerms(limit rate.Limit, burst int) terms {
	t := terms{limit: limit, burst: burst}
	if limit != rate.Inf {
		t.interval = interval(limit)
		t.full = t.interval * time.Duration(burst)
	}
	return t
}

// interval is the time between two tokens, rounded up so that the rate is never
// exceeded, and bounded so that sums of two of them do not overflow.
func interval(r rate.Limit) time.Duration {
	return time.Duration(min(math.Ceil(float64(time.Second)/float64(r)), math.MaxInt64/2))
}

// cost is the time in which n tokens flow in, or longest if that is less.
func (t *terms) cost(n int64) time.Duration {
	hi, lo := bits.Mul64(uint64(n), uint64(t.interval))
	if hi > 0 || lo > longest {
		return longest
	}
	return time.Duration(lo)
}

// next returns when a bucket that is full at fullAt would be full if n tokens were
// taken now, and how long they must be waited for; that is 0 or less if they are there.
func (t *terms) next(fullAt, now time.Duration, n int) (next, after time.Duration) {
	// A now from before another's take only makes this stricter.
	next = max(fullAt, now) + t.interval*time.Duration(n)
	return next, next - now - t.full
}

// A bucket is the state of a limit: its terms, the time at which it will be full, and
// how many calls have come to it. The counts share the cache line that every call writes.
type bucket struct {
	terms
	fullAt  atomic.Int64 // in ns after the limiter's epoch
	calls   atomic.Uint64
	refused atomic.Uint64
}

// closed is what the counts of a bucket begin with when another has replaced it: what
// comes late is counted by the limiter.
const closed = 1 << 63

// current returns the bucket. It panics if there is none.
func (l *Limiter) current() *bucket {
	b := l.bucket.Load()
	if b == nil {
		panic(limiterNotMade)
	}
	return b
}

// count counts a call that has come to b.
func (l *Limiter) count(b *bucket, ok bool) {
	switch {
	case ok && b.calls.Add(1) > closed:
		l.calls.Add(1)
	case !ok && b.refused.Add(1) > closed:
		l.refused.Add(1)
	}
}

// owe takes tokens worth cost whether they are there or not.
func (b *bucket) owe(cost, now time.Duration) (ok bool) {
	for {
		fullAt := b.fullAt.Load()
		if fullAt == moved {
			return false
		}
		next := min(max(time.Duration(fullAt), now)+cost, moved-1)
		if b.fullAt.CompareAndSwap(fullAt, int64(next)) {
			return true
		}
	}
}

// replace returns a bucket with new terms and the tokens of b, from which nothing
// can be taken any more. The counts of b are left where they are.
func (b *bucket) replace(t terms, now time.Duration) *bucket {
	missing := time.Duration(b.fullAt.Swap(moved)) - now
	fresh := &bucket{terms: t}
	if b.interval == 0 || t.interval == 0 {
		return fresh
	}
	fullAt := now
	if missing > 0 {
		fullAt += scale(missing, t.interval, b.interval)
	}
	if more := t.burst - b.burst; more > 0 {
		fullAt += t.cost(int64(more))
	} else {
		fullAt -= t.cost(int64(-more))
	}
	fresh.fullAt.Store(int64(min(max(0, fullAt), moved-1)))
	return fresh
}

// scale returns d*mul/div, rounded up and at most longest.
func scale(d, mul, div time.Duration) time.Duration {
	hi, lo := bits.Mul64(uint64(d), uint64(mul))
	if hi >= uint64(div) {
		return longest
	}
	q, r := bits.Div64(hi, lo, uint64(div))
	if r > 0 {
		q++
	}
	return time.Duration(min(q, longest))
}

// take takes n tokens from the current bucket if they are there, and otherwise
// changes nothing and returns the time until they will be; never, if they are more
// than it holds. next is when b will be full.
func (l *Limiter) take(n int) (b *bucket, next, after time.Duration) {
	const unread = -1
	for now := time.Duration(unread); ; {
		b := l.current()
		if b.interval == 0 {
			return b, 0, 0
		}
		fullAt := b.fullAt.Load()
		if n > b.burst && fullAt != moved {
			return b, time.Duration(fullAt), never
		}
		stale := now != unread
		if !stale {
			now = time.Since(l.epoch)
		}
		next, after := b.next(time.Duration(fullAt), now, n)
		switch {
		case after <= 0:
			if b.fullAt.CompareAndSwap(fullAt, int64(next)) {
				return b, next, 0
			}
		case fullAt == moved:
			runtime.Gosched() // until its successor is there
		case stale: // refused only at a time after that of the state
			now = unread
		default:
			return b, time.Duration(fullAt), after
		}
	}
}

// takeAt is take at a time that the caller knows.
func (l *Limiter) takeAt(now time.Duration, n int) (b *bucket, next, after time.Duration) {
	for {
		b, fullAt := l.state()
		if n > b.burst && b.interval > 0 {
			return b, 0, never
		}
		next, after := b.next(fullAt, now, n)
		if after > 0 {
			return b, 0, after
		}
		if b.interval == 0 || b.fullAt.CompareAndSwap(int64(fullAt), int64(next)) {
			return b, next, 0
		}
	}
}
