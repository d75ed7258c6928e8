// Package ratelimit keeps calls within an agreed rate, and within a number that may
// be under way at once.
//
// A [Limiter] is made once for what has the limit and shared by all calls to it:
//
//	limiter := ratelimit.New(ratelimit.Config{Rate: 100, Burst: 10})
//	if err := limiter.Wait(ctx); err != nil {
//		return err
//	}
//
// [Limiter.Wait] blocks until the next call may be made, [Limiter.Allow] answers
// at once, and [Transport] limits HTTP requests. The methods have the signatures
// of [golang.org/x/time/rate.Limiter], which also fits wherever a [Waiter] is
// asked for.
//
// # Model
//
// The limit is a bucket of Burst tokens. It is full at first and refilled evenly at
// Rate; a call takes a token. The bucket is kept as one number, the time at which it
// will be full again (the generic cell rate algorithm, ITU-T I.371), in whole
// nanoseconds. Rounding never exceeds the rate: in any span of time t at most
// Burst + Rate*t calls are let through, under any concurrency.
//
// A call that waits takes its token when its turn comes, and not before: first come,
// first served. A call that leaves the queue early has taken nothing, so nothing is
// lost. While calls wait, Allow is false: it does not jump the queue. Calls of
// [LowPriority] wait behind the others.
//
// The timer that ends a wait is late, often by a millisecond. That is not the caller's
// fault, so a call takes its token as of the time at which it was due, up to 10 ms
// back. Calls that wait get the whole rate, whatever Burst is. Where calls have waited,
// at most Burst + Rate*(t + 10 ms) are let through in any span t.
//
// # Which limiter
//
//	what is limited                                use
//	calls per second to one backend                Limiter
//	the same for each client, tenant or host       Keyed
//	the same, over many processes                  Shared
//	calls under way at once                        Bulkhead
//	several rates at once: per second, per minute  All
//	what a call costs shows afterwards             Limiter.Charge
//	requests of an http.Client                     Transport
//	requests to a server, per second               Middleware
//	requests to a server, under way at once        ConcurrencyMiddleware
//
// The README beside this package tells how to choose burst and queue, and what
// differs from golang.org/x/time/rate.
//
// A refusal is an [*Error]. It is Retryable if it is known when the call can be made:
// a layer that retries waits for RetryAfter then, and takes every other refusal for
// final.
//
// # Defaults
//
//	Config.Burst         1
//	Config.Queue         1024
//	KeyedConfig.Burst    1
//	KeyedConfig.MaxKeys  65536
//	KeyedConfig.Queue    1024
//
//	SharedConfig.Burst         1
//	SharedConfig.Lease         250ms
//	SharedConfig.StoreTimeout  50ms
//	SharedConfig.MaxKeys       65536
//	SharedConfig.Queue         1024
//
// KeyedConfig.MaxKeys is more where a bucket takes longer than a minute to fill.
// BulkheadConfig.Queue is as many as there are places.
package ratelimit

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// A Limiter lets calls through at a limited rate. It is safe for concurrent use,
// starts no goroutine, and needs no Close. A nil *Limiter has no limit. Make it
// with [New]: with a Limiter that is not, methods that return an error return one, and
// all others panic.
//
// A call for no tokens is always let through; one for a negative number panics.
type Limiter struct {
	epoch   time.Time
	bucket  atomic.Pointer[bucket]
	line    line
	given   time.Duration // worth of the tokens given back so far; guarded by line.mu
	others  lines
	observe observer

	calls, refused atomic.Uint64 // of buckets that were replaced
	waited         atomic.Uint64
}

// New returns a Limiter whose bucket is full. It panics if cfg is not valid.
func New(cfg Config) *Limiter {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	l := &Limiter{epoch: time.Now(), observe: observer{name: cfg.Name, tell: cfg.Observe}}
	b := &bucket{terms: newTerms(cfg.Rate, cfg.Burst)}
	if cfg.StartEmpty {
		b.fullAt.Store(int64(b.full))
	}
	l.bucket.Store(b)
	l.line.name, l.line.places = cfg.Name, max(0, cfg.Queue)
	l.line.takeLocked = func(w *waiter, at time.Time) (after time.Duration) {
		w.receipt, after = l.payLocked(w.n, at)
		return after
	}
	l.line.mostLocked, l.line.longestLocked, l.line.left = l.most, l.longest, l.others.serve
	return l
}

// Allow reports whether a call may be made now, and takes a token for it if so.
func (l *Limiter) Allow() bool {
	if l == nil {
		return true
	}
	b, ok := l.admit(1)
	l.count(b, ok)
	l.observe.decided(1, ok)
	return ok
}

// AllowN reports whether n tokens are there at time t, and takes them if so. A t in the
// past makes the answer stricter, never laxer. A t in the future counts as now: tokens
// cannot be taken before they are there.
func (l *Limiter) AllowN(t time.Time, n int) bool {
	if check(n); l == nil || n == 0 {
		return true
	}
	b, ok := l.current(), l.line.waiting.Load() == 0
	if ok {
		var after time.Duration
		at := min(t.Sub(l.epoch), time.Since(l.epoch))
		b, _, after = l.takeAt(max(0, at), n)
		ok = after <= 0
	}
	l.count(b, ok)
	l.observe.decided(n, ok)
	return ok
}

// Wait blocks until a call may be made. It returns an [*Error] at once if that would be
// after the deadline of ctx, or if the queue is full. It also returns one when ctx ends
// before the call may be made.
func (l *Limiter) Wait(ctx context.Context) error { return l.WaitN(ctx, 1) }

// WaitN blocks until there are n tokens, and takes them. It returns the errors of
// [Limiter.Wait], and at once one with [ErrTooLarge] if n is more than Burst.
func (l *Limiter) WaitN(ctx context.Context, n int) error {
	if check(n); l == nil {
		return unlimited(ctx)
	}
	if l.bucket.Load() == nil {
		return &Error{Cause: errLimiterNotMade}
	}
	if ctx.Err() != nil {
		return l.waitedFor(ctx, n, time.Time{}, ended(l.observe.name, ctx))
	}
	if n == 0 {
		return nil
	}
	if b, ok := l.admit(n); ok {
		l.count(b, true)
		if l.observe.tell != nil {
			l.observe.waited(ctx, n, time.Time{}, nil)
		}
		return nil
	}
	return l.queue(ctx, &waiter{n: n})
}

func (l *Limiter) queue(ctx context.Context, w *waiter) error {
	since := time.Now()
	return l.waitedFor(ctx, w.n, since, l.line.wait(ctx, w))
}

// waitedFor counts and tells how a call has ended that has waited since a time, if it
// has, and returns err.
func (l *Limiter) waitedFor(ctx context.Context, n int, since time.Time, err error) error {
	l.count(l.bucket.Load(), err == nil)
	if err == nil && !since.IsZero() {
		l.waited.Add(1)
	}
	l.observe.waited(ctx, n, since, err)
	return err
}

// A Decision is the answer to a call that does not wait, and says how the limit stands
// after it.
type Decision struct {
	// Name is that of the limit, as its Config has it.
	Name string
	// OK says that the call may be made.
	OK bool
	// Remaining is the number of tokens left.
	Remaining int
	// RetryAfter is the time until the tokens will be there. It is 0 if OK, and if
	// there will never be so many.
	RetryAfter time.Duration
	// ResetAfter is the time until the bucket is full, if no further calls come.
	ResetAfter time.Duration

	// Burst is how many tokens the bucket holds, and Window the time in which so many
	// flow in. Window is 0 if there is no limit.
	Burst  int
	Window time.Duration
}

// Take takes n tokens if they are there, and says how the limit stands then.
func (l *Limiter) Take(n int) Decision {
	check(n)
	if l == nil {
		return Decision{OK: true, Remaining: math.MaxInt, Burst: math.MaxInt}
	}
	var b *bucket
	var fullAt, after time.Duration
	ok := n == 0 || l.line.waiting.Load() == 0
	if ok {
		b, fullAt, after = l.take(n)
		ok = after <= 0
	} else if b, fullAt = l.state(); n <= b.burst {
		after = l.line.estimateNew(n)
	}
	d := b.decision(fullAt, time.Since(l.epoch))
	d.Name = l.observe.name
	if d.OK = ok; after != never {
		d.RetryAfter = max(0, after)
	}
	if n > 0 {
		l.count(b, ok)
	}
	l.observe.decided(n, d.OK)
	return d
}

// check panics if a call asks for a negative number.
func check(n int) {
	if n < 0 {
		panic(fmt.Sprintf("ratelimit: asked for %d, want 0 or more", n))
	}
}

// admit takes n tokens if they are there and nobody waits for them.
func (l *Limiter) admit(n int) (b *bucket, ok bool) {
	if l.line.waiting.Load() > 0 {
		return l.current(), false
	}
	b, _, after := l.take(n)
	return b, after <= 0
}
