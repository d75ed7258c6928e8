package ratelimit

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// shards is how many parts of a Keyed have a lock of their own.
const shards = 16

// A Keyed has a limit for each key: a client, a tenant, a host. It remembers a bounded
// number of keys in a table of its own. It is safe for concurrent use, starts no
// goroutine, and needs no Close. A nil *Keyed has no limit. Make it with [NewKeyed]: with
// a Keyed that is not, methods that return an error return one, and the others panic.
//
// The promise of [Limiter] holds for each key, whatever the other keys do. A key that
// is not equal to itself, such as a NaN, is new each time.
type Keyed[K comparable] struct {
	terms   terms
	limit   func(K) (rate.Limit, int)
	epoch   time.Time
	seed    maphash.Seed
	observe observer
	places  int                  // in each queue
	late    func() time.Duration // of line
	label   func(K) string
	shards  [shards]shard[K]

	ended atomic.Uint64 // calls whose context had ended
}

// A shard is a part of the keys, with the queues of those for which calls wait.
type shard[K comparable] struct {
	mu      sync.Mutex
	table   table[K]
	queues  map[K]*keyQueue
	calls   uint64
	waited  uint64
	refused atomic.Uint64

	_ [64]byte // so that two shards do not share a cache line
}

// NewKeyed returns a Keyed in which each key's bucket is full. It panics if cfg is not
// valid.
func NewKeyed[K comparable](cfg KeyedConfig[K]) *Keyed[K] {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	k := &Keyed[K]{limit: cfg.For, label: cfg.Label, epoch: time.Now(), seed: maphash.MakeSeed(), observe: observer{name: cfg.Name, tell: cfg.Observe}}
	k.places = max(0, cfg.Queue)
	if cfg.For == nil {
		k.terms = newTerms(cfg.Rate, cfg.Burst)
	}
	for i := range k.shards {
		k.shards[i].table.max = max(1, (cfg.MaxKeys+i)/shards)
	}
	return k
}

// Allow reports whether a call for key may be made now, and takes a token for it if so.
func (k *Keyed[K]) Allow(key K) bool {
	if k == nil {
		return true
	}
	t := k.termsOf(key)
	_, _, after, _ := k.take(key, &t, 1, false)
	if k.observe.tell != nil {
		k.observerFor(key).decided(1, after <= 0)
	}
	return after <= 0
}

// Take takes n tokens for key if they are there, and says how the limit stands then. A
// call for no tokens is always let through; a negative n panics.
func (k *Keyed[K]) Take(key K, n int) Decision {
	if check(n); k == nil {
		return Decision{OK: true, Remaining: math.MaxInt, Burst: math.MaxInt}
	}
	t := k.termsOf(key)
	fullAt, now, after, ahead := k.take(key, &t, n, false)
	if ahead != nil && n <= t.burst {
		after = max(1, ahead.line.estimateNew(n))
	}
	d := t.decision(fullAt, now)
	d.Name = k.observe.name
	if d.OK = after <= 0; after != never {
		d.RetryAfter = max(0, after)
	}
	if k.observe.tell != nil {
		k.observerFor(key).decided(n, d.OK)
	}
	return d
}

// Delete forgets key. Its bucket is full again.
func (k *Keyed[K]) Delete(key K) {
	if k == nil {
		return
	}
	s, hash := k.shard(key)
	if q := s.remove(hash, key); q != nil {
		q.line.serve()
	}
}

// remove forgets key and returns the queue for it, if there is one.
func (s *shard[K]) remove(hash uint32, key K) *keyQueue {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.table.find(hash, key); ok {
		s.table.remove(i)
	}
	return s.queues[key]
}

// observerFor is the observer of a call for key.
func (k *Keyed[K]) observerFor(key K) *observer {
	o := k.observe
	if k.label != nil {
		o.key = k.label(key)
	}
	return &o
}

func (k *Keyed[K]) shard(key K) (s *shard[K], hash uint32) {
	h := maphash.Comparable(k.seed, key)
	return &k.shards[h%shards], uint32(h>>32) | 1 // 0 marks a slot that is free
}

func (k *Keyed[K]) termsOf(key K) terms {
	if k.limit == nil {
		return k.terms
	}
	return termsFor(k.limit(key))
}

// termsFor are the terms that a user's function gives for a key.
func termsFor(r rate.Limit, burst int) terms {
	if !(r > 0) {
		return terms{interval: longest} // holds no token
	}
	t := newTerms(r, 1)
	if t.interval > 0 {
		t.burst = int(min(time.Duration(max(1, burst)), longest/t.interval))
		t.full = t.interval * time.Duration(t.burst)
	}
	return t
}

// take takes n tokens of key, or changes nothing and returns the time until they are
// there: never, if they are more than the bucket holds, or if calls ahead wait in a
// queue, which it returns then. A call that would wait is not counted as refused.
func (k *Keyed[K]) take(key K, t *terms, n int, waits bool) (fullAt, now, after time.Duration, ahead *keyQueue) {
	s, hash := k.shard(key)
	fullAt, now, after, ahead = k.takeFrom(s, hash, key, t, n)
	if ahead != nil && (ahead.renew(t) || ahead.line.waiting.Load() == 0) { // or others have let it go meanwhile
		fullAt, now, after, ahead = k.takeFrom(s, hash, key, t, n)
	}
	if after > 0 && !waits {
		s.refused.Add(1)
	}
	return fullAt, now, after, ahead
}

func (k *Keyed[K]) takeFrom(s *shard[K], hash uint32, key K, t *terms, n int) (fullAt, now, after time.Duration, ahead *keyQueue) {
	now = time.Since(k.epoch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && len(s.queues) > 0 {
		if q := s.queues[key]; q != nil && q.line.waiting.Load() > 0 {
			fullAt, _ = k.takeLocked(s, hash, key, t, 0, now)
			return fullAt, now, never, q
		}
	}
	fullAt, after = k.takeLocked(s, hash, key, t, n, now)
	if after > 0 && after != never {
		// The lock may have taken long, and others have been here with a later time.
		now = time.Since(k.epoch)
		fullAt, after = k.takeLocked(s, hash, key, t, n, now)
	}
	if n > 0 && after <= 0 {
		s.calls++
	}
	return fullAt, now, after, nil
}

// takeLocked takes n tokens at a time that is not after now, or changes nothing and
// returns how long after that time they are there; never, if they are more than the
// bucket holds. The lock is that of s.
func (k *Keyed[K]) takeLocked(s *shard[K], hash uint32, key K, t *terms, n int, at time.Duration) (fullAt, after time.Duration) {
	if t.interval == 0 {
		if s.table.max == 0 {
			panic(keyedNotMade)
		}
		return at, 0
	}
	i, ok := s.table.find(hash, key)
	if ok {
		fullAt = s.table.fullAt(i)
	} else {
		fullAt = s.table.debt(hash)
	}
	if fullAt > at+t.full {
		// The debt is from when the rate was lower, or that of another key; or at is
		// before the time at which it was made.
		now := time.Since(k.epoch)
		if fullAt > now+t.full {
			fullAt = now + t.full
			if ok {
				s.table.set(i, fullAt)
			} else if n > 0 {
				s.table.insert(hash, key, fullAt, now)
			}
		}
	}
	switch {
	case n > t.burst:
		return fullAt, never
	case n == 0:
		return fullAt, 0
	}
	next, after := t.next(fullAt, at, n)
	switch {
	case after > 0:
		return fullAt, after
	case ok:
		s.table.set(i, next)
	default:
		s.table.insert(hash, key, next, at)
	}
	return next, 0
}
