package ratelimit

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A Shared has a limit for each key that holds over many processes: those of a fleet,
// or the replicas of a gateway. They meet in a [Store], such as Redis. Make it with
// [NewShared]. It is safe for concurrent use. A nil *Shared has no limit. It needs no
// Close: its goroutines end when the store has answered, or when a Store that heeds its
// context ends after StoreTimeout.
//
// A process does not ask the store about each call. It takes a lease: as many tokens as
// it has used lately in the time of Lease, each with the time from which it may be used.
// Half of them used, it asks for the next lease, so that calls do not wait for the
// store. A process that uses nothing for that time gives back what is left of
// its last lease.
//
// Each token is given out once, is not used before its time, and not more than 2*Lease
// after its mark in the schedule. So all processes together let through at most
//
//	Burst + 1 + Rate*(t + 2*Lease + StoreTimeout)
//
// calls in any span of time t, however many they are; with a negative Lease,
// Burst + 1 + Rate*(t + 2*StoreTimeout). It is also at most Burst + Rate*t and the
// tokens of the leases that were out when the span began. A store that forgets what it
// has given, such as a Redis replica that takes over before the last writes have reached
// it, gives the leases that were out once more, and a bucket that is full. So does one
// that was down: its bucket has filled up in the meantime.
//
// While there are more calls than tokens, the processes get about equal parts. A call
// for many tokens gets none as long as calls for few use up the rate in other processes:
// take large amounts in small parts.
//
// A call that finds no token in the leases of its process asks the store, unless the last
// answer has said that there is none yet. It waits no longer than StoreTimeout for the
// answer. After a failure calls do not wait for the store any more, until it answers again.
type Shared struct {
	cfg    SharedConfig
	terms  terms
	owner  string
	epoch  time.Time
	seed   maphash.Seed
	shards [shards]sharedShard

	calls, waited, refused, evicted atomic.Uint64

	mu            sync.Mutex
	store         storeState
	owners        int
	asked, failed uint64
}

type sharedShard struct {
	mu   sync.Mutex
	keys *simplelru.LRU[string, *sharedKey]
}

// NewShared returns a Shared. It does not ask the store. It panics if cfg is not valid.
func NewShared(cfg SharedConfig) *Shared {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	s := &Shared{cfg: cfg, owner: rand.Text(), epoch: time.Now(), seed: maphash.MakeSeed(), owners: 1}
	if cfg.For == nil {
		s.terms = newTerms(cfg.Rate, cfg.Burst)
	}
	for i := range s.shards {
		s.shards[i].keys, _ = simplelru.NewLRU[string, *sharedKey](max(1, (cfg.MaxKeys+i)/shards), nil)
	}
	return s
}

// Take takes n tokens for key if they are there, and says how the limit stands then, as
// far as this process knows. It waits only for an answer of the store, and not after ctx
// has ended. A call for no tokens is always let through; a negative n panics.
func (s *Shared) Take(ctx context.Context, key string, n int) Decision {
	if check(n); s == nil {
		return Decision{OK: true, Remaining: math.MaxInt, Burst: math.MaxInt}
	}
	if s.cfg.Store == nil {
		panic(sharedNotMade)
	}
	t := s.termsOf(key)
	if n == 0 || t.interval == 0 {
		d := t.decision(s.now(), s.now())
		d.Name, d.OK = s.cfg.Name, true
		return d
	}
	k := s.get(key, t)
	d := k.decide(ctx, n)
	d.Name = s.cfg.Name
	s.count(d.OK, false)
	if s.cfg.Observe != nil {
		s.observerFor(key).decided(n, d.OK)
	}
	return d
}

// decide takes n tokens, or says when they are there.
func (k *sharedKey) decide(ctx context.Context, n int) Decision {
	var timeout <-chan time.Time
	for {
		d, asking := k.tryTake(n)
		if asking == nil {
			return d
		}
		if timeout == nil {
			timeout = time.After(k.shared.cfg.StoreTimeout)
		}
		select {
		case <-asking:
		case <-timeout:
			return d
		case <-ctx.Done():
			return d
		}
	}
}

// tryTake takes n tokens if they are there and nobody waits for them. It returns what is
// closed when the store has answered, if that decides.
func (k *sharedKey) tryTake(n int) (d Decision, asking chan struct{}) {
	k.line.mu.Lock()
	defer k.line.mu.Unlock()
	now := k.shared.now()
	if n > k.line.mostLocked() {
		return k.decisionLocked(now), nil
	}
	after, err := never, error(nil)
	ahead := k.line.high.sum + k.line.low.sum
	if ahead == 0 {
		if after, err = k.takeLocked(n, now); after == never {
			asking = k.asking
		}
	}
	d = k.decisionLocked(now)
	if d.OK = after <= 0 && err == nil; err != nil {
		d.Remaining, d.RetryAfter = 0, k.shared.untilAsked(now)
	} else if !d.OK {
		d.RetryAfter = max(1, k.estimateLocked(ahead+int64(n), now))
		if after != never && len(k.leases) == 0 {
			d.RetryAfter = max(d.RetryAfter, after)
		}
	}
	return d, asking
}

// decisionLocked describes the bucket as this process sees it.
func (k *sharedKey) decisionLocked(now time.Duration) Decision {
	return k.terms.decision(k.next-k.terms.cost(int64(k.left)), now)
}

// Wait blocks until a call for key may be made. It returns the errors of [Limiter.Wait],
// and one with [ErrStore] if the store does not answer and OnFailure is [FailClosed].
// The calls for each key wait in a queue of their own, in each process.
func (s *Shared) Wait(ctx context.Context, key string) error { return s.WaitN(ctx, key, 1) }

// WaitN blocks until there are n tokens for key, and takes them. It returns the errors
// of [Shared.Wait], and at once one with [ErrTooLarge] if n is more than Burst. A call
// for no tokens is always let through; a negative n panics.
func (s *Shared) WaitN(ctx context.Context, key string, n int) error {
	if check(n); s == nil {
		return unlimited(ctx)
	}
	if s.cfg.Store == nil {
		return &Error{Cause: errSharedNotMade}
	}
	since := time.Now()
	var err error
	queued := false
	if ctx.Err() != nil {
		err = ended(s.cfg.Name, ctx)
	} else if t := s.termsOf(key); n == 0 || t.interval == 0 {
		return nil
	} else if k := s.get(key, t); !k.admit(n) {
		queued = true
		err = k.line.wait(ctx, &waiter{n: n})
	}
	s.count(err == nil, queued)
	if s.cfg.Observe != nil {
		if !queued {
			since = time.Time{}
		}
		s.observerFor(key).waited(ctx, n, since, err)
	}
	return err
}

// admit takes n tokens if they are there and nobody waits for them.
func (k *sharedKey) admit(n int) bool {
	k.line.mu.Lock()
	defer k.line.mu.Unlock()
	if n > k.line.mostLocked() || k.line.waiting.Load() > 0 {
		return false
	}
	after, err := k.takeLocked(n, k.shared.now())
	return after <= 0 && err == nil
}

// get returns what is known about key.
func (s *Shared) get(key string, t terms) *sharedKey {
	k := s.shards[maphash.String(s.seed, key)%shards].get(s, key, t)
	if s.cfg.For != nil {
		k.renew(t)
	}
	return k
}

func (sh *sharedShard) get(s *Shared, key string, t terms) *sharedKey {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	k, ok := sh.keys.Get(key)
	if !ok {
		k = s.newKey(key, t)
		if sh.keys.Add(key, k) {
			s.evicted.Add(1)
		}
	}
	return k
}

func (s *Shared) termsOf(key string) terms {
	if s.cfg.For == nil {
		return s.terms
	}
	return termsFor(s.cfg.For(key))
}

func (s *Shared) now() time.Duration { return time.Since(s.epoch) }

// ahead is how long before a token comes due the store may give it.
func (s *Shared) ahead() time.Duration { return 2 * max(0, s.cfg.Lease) }

// keeps is how long after its time a token may be used.
func (s *Shared) keeps() time.Duration {
	if s.cfg.Lease > 0 {
		return 2 * s.cfg.Lease
	}
	return s.cfg.StoreTimeout
}

// ownerFor is how long a process is counted as an owner after it has asked.
func (s *Shared) ownerFor() time.Duration { return max(2*time.Second, 8*s.cfg.Lease) }

// peers is how many processes use the limit, as far as is known.
func (s *Shared) peers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owners
}

func (s *Shared) count(ok, queued bool) {
	if !ok {
		s.refused.Add(1)
		return
	}
	if s.calls.Add(1); queued {
		s.waited.Add(1)
	}
}

func (s *Shared) observerFor(key string) *observer {
	o := &observer{name: s.cfg.Name, tell: s.cfg.Observe}
	if s.cfg.Label != nil {
		o.key = s.cfg.Label(key)
	}
	return o
}
