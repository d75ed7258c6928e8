package breaker

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// SetConfig describes a [Set].
type SetConfig[K comparable] struct {
	// Config returns the configuration of the breaker for a key. nil means zero
	// values, with the key as Name.
	Config func(K) Config `json:"-"`

	// Size is the largest number of breakers kept. 0 means 1,024.
	Size int

	// MaxOpenFraction, in (0, 1), is the share of breakers that may refuse calls:
	// when more are not closed, of at least 5 in all, the fault is probably on
	// this side, and open breakers admit calls. 0 means no such limit.
	MaxOpenFraction float64
}

// Validate reports everything that is wrong with c, or nil.
func (c SetConfig[K]) Validate() error {
	var errs []error
	if c.Size < 0 {
		errs = append(errs, fmt.Errorf("breaker: SetConfig.Size is %d, want 1 or more, or 0 for the default", c.Size))
	}
	if math.IsNaN(c.MaxOpenFraction) || c.MaxOpenFraction < 0 || c.MaxOpenFraction >= 1 {
		errs = append(errs, fmt.Errorf("breaker: SetConfig.MaxOpenFraction is %v, want less than 1, or 0 for no limit", c.MaxOpenFraction))
	}
	return errors.Join(errs...)
}

func (c SetConfig[K]) withDefaults() SetConfig[K] {
	c.Size = cmp.Or(c.Size, 1024)
	return c
}

// A Set has one breaker for each key: host, tenant, shard. It makes them when they
// are first asked for, and keeps a limited number: to make room it drops a closed
// one, the oldest first, or else the one that probes next. It is safe for
// concurrent use. Make it with [NewSet].
type Set[K comparable] struct {
	cfg  SetConfig[K]
	fuse *fuse

	mu    sync.Mutex // held to change the set
	order *simplelru.LRU[K, *Breaker]
	all   atomic.Pointer[map[K]*Breaker] // a copy, replaced as a whole
}

// minFuse is the number of breakers below which none is overruled.
const minFuse = 5

// A fuse knows how many breakers of a set are not closed.
type fuse struct {
	limit         float64
	size, tripped atomic.Int64
}

func (f *fuse) overrules() bool {
	n := f.size.Load()
	return f.limit > 0 && n >= minFuse && float64(f.tripped.Load()) > f.limit*float64(n)
}

// changed is told when b stops or begins to be closed; b's lock is held.
func (f *fuse) changed(b *Breaker, tripped bool) {
	if b.dropped {
		return
	}
	if tripped {
		f.tripped.Add(1)
	} else {
		f.tripped.Add(-1)
	}
}

// NewSet returns an empty Set. It panics if cfg is not valid.
func NewSet[K comparable](cfg SetConfig[K]) *Set[K] {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	s := &Set[K]{cfg: cfg, fuse: &fuse{limit: cfg.MaxOpenFraction}}
	s.order, _ = simplelru.NewLRU[K, *Breaker](cfg.Size, nil)
	s.all.Store(new(map[K]*Breaker))
	return s
}

// Get returns the breaker for key. It panics if the configuration for a new one is
// not valid.
func (s *Set[K]) Get(key K) *Breaker {
	if b := (*s.all.Load())[key]; b != nil {
		return b
	}
	cfg := Config{Name: fmt.Sprint(key)}
	if s.cfg.Config != nil {
		cfg = s.cfg.Config(key)
	}
	b := New(cfg)
	b.set = s.fuse

	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.order.Peek(key); ok {
		return b
	}
	if s.order.Len() == s.cfg.Size {
		s.drop(s.victim())
	}
	s.order.Add(key, b)
	s.publish()
	return b
}

// victim returns the key of the breaker that will be missed least.
func (s *Set[K]) victim() (key K) {
	first := true
	var soonest int64
	for _, k := range s.order.Keys() { // the oldest first
		b, _ := s.order.Peek(k)
		e := b.current.Load()
		if e.state == Closed {
			return k
		}
		next := int64(math.MaxInt64) // forced open
		if e.state == HalfOpen {
			next = 0
		} else if e.reopen > 0 {
			next = b.epoch.Add(e.reopen).UnixNano()
		}
		if first || next < soonest {
			key, soonest, first = k, next, false
		}
	}
	return key
}

// drop removes a breaker, which goes on for those who still hold it.
func (s *Set[K]) drop(key K) {
	b, _ := s.order.Peek(key)
	b.mu.Lock()
	if b.current.Load().state != Closed {
		s.fuse.changed(b, false)
	}
	b.dropped = true
	b.mu.Unlock()
	s.order.Remove(key)
}

// publish makes the change visible to Get and All.
func (s *Set[K]) publish() {
	all := make(map[K]*Breaker, s.order.Len())
	for _, k := range s.order.Keys() {
		all[k], _ = s.order.Peek(k)
	}
	s.all.Store(&all)
	s.fuse.size.Store(int64(len(all)))
}

// Remove drops the breaker for key and reports whether there was one. The next Get
// makes a new one.
func (s *Set[K]) Remove(key K) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.order.Contains(key) {
		return false
	}
	s.drop(key)
	s.publish()
	return true
}

// All returns the breakers by key, as they are when the iteration begins, in no
// order.
func (s *Set[K]) All() iter.Seq2[K, *Breaker] {
	return func(yield func(K, *Breaker) bool) {
		maps.All(*s.all.Load())(yield)
	}
}

// Len returns the number of breakers.
func (s *Set[K]) Len() int { return len(*s.all.Load()) }

// Overruled reports whether so many breakers are open that they admit calls; see
// MaxOpenFraction.
func (s *Set[K]) Overruled() bool { return s.fuse.overrules() }
