package ratelimit

import (
	"context"
	"math"
	"time"
)

// A keyQueue is where the calls for one key wait, as long as any does.
type keyQueue struct {
	line  line
	terms terms // as the latest call has found them; guarded by line.mu
	used  int   // calls that are in line, or on their way there or back
}

// Wait blocks until a call for key may be made. It returns an [*Error] as
// [Limiter.Wait] does; the calls for each key wait in a queue of their own.
func (k *Keyed[K]) Wait(ctx context.Context, key K) error { return k.WaitN(ctx, key, 1) }

// WaitN blocks until there are n tokens for key, and takes them. It returns an
// [*Error] as [Limiter.WaitN] does. No tokens are always there; a negative n panics.
func (k *Keyed[K]) WaitN(ctx context.Context, key K, n int) error {
	if check(n); k == nil {
		return unlimited(ctx)
	}
	var err error
	var since time.Time
	switch {
	case ctx.Err() != nil:
		err = ended(k.observe.name, ctx)
	case n == 0:
		return nil
	case k.admit(key, n):
	default:
		since = time.Now()
		err = k.queue(ctx, key, n)
	}
	k.observe.waited(ctx, n, since, err)
	return err
}

// admit takes n tokens of key if they are there and nobody waits for them.
func (k *Keyed[K]) admit(key K, n int) bool {
	if k.line(key) != nil {
		return false
	}
	t := k.termsOf(key)
	_, _, after := k.take(&t, key, n)
	return after <= 0
}

// line returns where calls for key wait, or nil if none does.
func (k *Keyed[K]) line(key K) *line {
	if k.waiting.Load() == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if q := k.queues[key]; q != nil {
		return &q.line
	}
	return nil
}

func (k *Keyed[K]) queue(ctx context.Context, key K, n int) error {
	t := k.termsOf(key) // before there are locks: it may call the user's For
	k.mu.Lock()
	q := k.queues[key]
	if q == nil {
		q = &keyQueue{terms: t}
		q.line = line{
			name:   k.observe.name,
			places: k.places,
			takeLocked: func(w *waiter) time.Duration {
				_, _, after := k.take(&q.terms, key, w.n)
				return after
			},
			mostLocked: func() int {
				if q.terms.interval == 0 {
					return math.MaxInt
				}
				return q.terms.burst
			},
			longestLocked: func(ahead int64, n int) time.Duration {
				fullAt, now, _ := k.take(&q.terms, key, 0)
				return q.terms.cost(int(ahead)+n) + max(fullAt, now) - now - q.terms.full
			},
		}
		k.queues[key] = q
	}
	q.used++
	k.waiting.Add(1)
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.waiting.Add(-1)
		if q.used--; q.used == 0 {
			delete(k.queues, key)
		}
	}()
	q.line.mu.Lock()
	q.terms = t
	q.line.mu.Unlock()
	return q.line.wait(ctx, &waiter{n: n})
}
