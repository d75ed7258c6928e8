package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// KeyedConfig describes a [Keyed].
type KeyedConfig[K comparable] struct {
	// Name is what the limit is called in events, errors, statistics and the header
	// fields of [Decision.WriteHeader].
	Name string

	// Rate is the number of tokens per second for each key. It is required unless
	// For is set. See [Config].
	Rate rate.Limit
	// Burst is the number of tokens that can be saved up for each key. 0 means 1.
	Burst int
	// For gives the limit of a key instead. It is called on every use of the key and
	// must be fast. A rate of 0 or less lets nothing through, a burst below 1 is 1.
	For func(K) (limit rate.Limit, burst int) `json:"-"`

	// MaxKeys is how many keys are remembered. 0 means 65,536. A key whose bucket is
	// full need not be remembered and goes first. If another must go, a small
	// record of its debt stays, so that nobody gets a fresh bucket by being
	// forgotten; a key that is new may share such a record with it, and then begins
	// with fewer tokens.
	MaxKeys int

	// Queue is how many calls may wait for each key; those that would be one more are
	// refused. 0 means 1024; negative: none.
	Queue int

	// Observe is told of each decision, in the goroutine and with the context of the
	// call that it was about; for calls without one, [context.Background].
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c KeyedConfig[K]) Validate() error {
	var errs []error
	if c.For == nil {
		errs = append(errs, validTerms("KeyedConfig", c.Rate, c.Burst))
	}
	if c.MaxKeys < 0 || c.MaxKeys > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("ratelimit: KeyedConfig.MaxKeys is %d, want 1 to %d, or 0 for the default", c.MaxKeys, math.MaxInt32))
	}
	errs = append(errs, validQueue("KeyedConfig", c.Queue))
	return errors.Join(errs...)
}

func (c KeyedConfig[K]) withDefaults() KeyedConfig[K] {
	c.Burst = cmp.Or(c.Burst, 1)
	c.MaxKeys = cmp.Or(c.MaxKeys, 65536)
	c.Queue = cmp.Or(c.Queue, 1024)
	return c
}

// shards is how many parts of a Keyed have a lock of their own.
const shards = 16

// A Keyed has a limit for each key: a client, a tenant, a host. It remembers a bounded
// number of keys in a table of its own, about 40 bytes for each if they are strings.
// It is safe for concurrent use, starts no goroutine, and needs no Close. A nil
// *Keyed has no limit. Make it with [NewKeyed].
//
// The promise of [Limiter] holds for each key, whatever the other keys do.
type Keyed[K comparable] struct {
	terms   terms
	limit   func(K) (rate.Limit, int)
	epoch   time.Time
	seed    maphash.Seed
	observe observer
	shards  [shards]shard[K]

	places  int          // in each queue
	waiting atomic.Int64 // calls for any key; changes with mu held
	mu      sync.Mutex
	queues  map[K]*keyQueue
}

// NewKeyed returns a Keyed in which each key's bucket is full. It panics if cfg is not
// valid.
func NewKeyed[K comparable](cfg KeyedConfig[K]) *Keyed[K] {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	k := &Keyed[K]{limit: cfg.For, epoch: time.Now(), seed: maphash.MakeSeed(), observe: observer{cfg.Name, cfg.Observe}}
	k.places, k.queues = max(0, cfg.Queue), map[K]*keyQueue{}
	if cfg.For == nil {
		k.terms = newTerms(cfg.Rate, cfg.Burst)
	}
	for i := range k.shards {
		k.shards[i].max = max(1, (cfg.MaxKeys+i)/shards)
	}
	return k
}

// Allow reports whether a call for key may be made now, and takes a token for it if so.
func (k *Keyed[K]) Allow(key K) bool {
	if k == nil {
		return true
	}
	ok := k.admit(key, 1)
	k.observe.decided(1, ok)
	return ok
}

// Take takes n tokens for key if they are there, and tells how things stand then. No
// tokens are always there; a negative n panics.
func (k *Keyed[K]) Take(key K, n int) Decision {
	if check(n); k == nil {
		return Decision{OK: true, Remaining: math.MaxInt, Burst: math.MaxInt}
	}
	t := k.termsOf(key)
	var line *line
	if n > 0 {
		line = k.line(key)
	}
	var fullAt, now, after time.Duration
	if line == nil {
		fullAt, now, after = k.take(&t, key, n)
	} else if fullAt, now, _ = k.take(&t, key, 0); n > t.burst {
		after = never
	} else {
		after = max(1, line.estimateNew(n))
	}
	d := t.decision(fullAt, now)
	if d.OK = after <= 0; after != never {
		d.RetryAfter = max(0, after)
	}
	k.observe.decided(n, d.OK)
	return d
}

// Delete forgets key. Its bucket is full again.
func (k *Keyed[K]) Delete(key K) {
	if k == nil {
		return
	}
	s, hash := k.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.find(hash, key); ok {
		s.remove(i)
	}
}

// Len returns the number of keys that are remembered.
func (k *Keyed[K]) Len() (n int) {
	if k == nil {
		return 0
	}
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		n += s.used
		s.mu.Unlock()
	}
	return n
}

func (k *Keyed[K]) shard(key K) (s *shard[K], hash uint32) {
	h := maphash.Comparable(k.seed, key)
	return &k.shards[h%shards], uint32(h>>32) | 1 // 0 marks a slot that is free
}

func (k *Keyed[K]) termsOf(key K) terms {
	if k.limit == nil {
		return k.terms
	}
	r, burst := k.limit(key)
	if !(r > 0) {
		return terms{limit: r, interval: longest} // holds no token
	}
	t := newTerms(r, 1)
	if t.interval > 0 {
		t.burst = int(min(time.Duration(max(1, burst)), longest/t.interval))
		t.full = t.interval * time.Duration(t.burst)
	}
	return t
}

// take takes n tokens of key, or changes nothing and returns the time until they are
// there; never, if they are more than the bucket holds.
func (k *Keyed[K]) take(t *terms, key K, n int) (fullAt, now, after time.Duration) {
	now = time.Since(k.epoch)
	if t.interval == 0 {
		return 0, now, 0
	}
	s, hash := k.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(hash, key)
	if ok {
		fullAt = s.fullAt(i)
	} else {
		fullAt = s.debt(hash, now+t.full)
	}
	if n == 0 || n > t.burst {
		if n > 0 {
			after = never
		}
		return fullAt, now, after
	}
	next, after := t.next(fullAt, now, n)
	if after > 0 {
		// The lock may have taken long, and others have been here with a later time.
		now = time.Since(k.epoch)
		if next, after = t.next(fullAt, now, n); after > 0 {
			return fullAt, now, after
		}
	}
	if ok {
		s.set(i, next)
	} else {
		s.insert(hash, key, next, now)
	}
	return next, now, 0
}
