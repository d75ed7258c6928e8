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
	used  int   // calls that are in line, or on their way there or back; guarded by shard.mu
}

// Wait blocks until a call for key may be made. It returns the errors of [Limiter.Wait].
// The calls for each key wait in a queue of their own.
func (k *Keyed[K]) Wait(ctx context.Context, key K) error { return k.WaitN(ctx, key, 1) }

// WaitN blocks until there are n tokens for key, and takes them. It returns the errors
// of [Limiter.WaitN]. A call for no tokens is always let through; a negative n panics.
func (k *Keyed[K]) WaitN(ctx context.Context, key K, n int) error {
	if check(n); k == nil {
		return unlimited(ctx)
	}
	if k.shards[0].table.max == 0 {
		return &Error{Cause: errKeyedNotMade}
	}
	var err error
	var since time.Time
	if ctx.Err() != nil {
		k.ended.Add(1)
		err = ended(k.observe.name, ctx)
	} else if n == 0 {
		return nil
	} else if t := k.termsOf(key); !k.admit(key, &t, n) {
		since = time.Now()
		err = k.queue(ctx, key, &t, n)
	}
	if k.observe.tell != nil {
		k.observerFor(key).waited(ctx, n, since, err)
	}
	return err
}

// admit takes n tokens of key if they are there and nobody waits for them.
func (k *Keyed[K]) admit(key K, t *terms, n int) bool {
	_, _, after, _ := k.take(key, t, n, true)
	return after <= 0
}

func (k *Keyed[K]) queue(ctx context.Context, key K, t *terms, n int) (err error) {
	s, hash := k.shard(key)
	q := s.enter(key, func() *keyQueue { return k.newQueue(s, hash, key) })
	served := false
	defer func() { s.leave(key, q, served) }()
	q.renew(t)
	err = q.line.wait(ctx, &waiter{n: n})
	served = err == nil
	return err
}

func (k *Keyed[K]) newQueue(s *shard[K], hash uint32, key K) *keyQueue {
	q := &keyQueue{}
	take := func(n int, at time.Time) (now, fullAt, after time.Duration) {
		now = at.Sub(k.epoch)
		s.mu.Lock()
		defer s.mu.Unlock()
		fullAt, after = k.takeLocked(s, hash, key, &q.terms, n, now)
		return now, fullAt, after
	}
	q.line = line{
		name:   k.observe.name,
		places: k.places,
		late:   k.late,
		takeLocked: func(w *waiter, at time.Time) time.Duration {
			_, _, after := take(w.n, at)
			return after
		},
		mostLocked: func() int {
			if q.terms.interval == 0 {
				return math.MaxInt
			}
			return q.terms.burst
		},
		longestLocked: func(ahead int64, n int, at time.Time) time.Duration {
			now, fullAt, _ := take(0, at) // full at once, if there is no limit any more
			return q.terms.cost(ahead+int64(n)) + max(fullAt, now) - now - q.terms.full
		},
	}
	if k.limit != nil {
		q.line.renew = func() {
			t := k.termsOf(key)
			q.renew(&t)
		}
	}
	return q
}

// renew lets those that wait know the terms that hold now, and reports whether they
// are new.
func (q *keyQueue) renew(t *terms) bool {
	q.line.mu.Lock()
	defer q.line.mu.Unlock()
	if q.terms == *t {
		return false
	}
	q.terms = *t
	q.line.serveLocked()
	return true
}

// enter returns the queue for key, which it makes if there is none. A key that is not
// equal to itself has one that nobody finds.
func (s *shard[K]) enter(key K, make func() *keyQueue) *keyQueue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[key]
	if q == nil {
		if q = make(); equal(key, key) {
			if s.queues == nil {
				s.queues = map[K]*keyQueue{}
			}
			s.queues[key] = q
		}
	}
	q.used++
	return q
}

// leave counts a call that has waited, and forgets a queue that nobody uses any more.
func (s *shard[K]) leave(key K, q *keyQueue, served bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if served {
		s.calls++
		s.waited++
	} else {
		s.refused.Add(1)
	}
	if q.used--; q.used == 0 {
		delete(s.queues, key)
	}
}
