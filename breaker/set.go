package breaker

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
)

// SetConfig describes a [Set].
type SetConfig[K comparable] struct {
	// Name is what the keys are: "shard", "tenant". It stands before the key in the
	// names of breakers that Config does not name.
	Name string

	// Config returns the configuration of the breaker for a key. nil means zero
	// values. If it leaves out the Name, that is SetConfig.Name and the key.
	Config func(K) Config `json:"-"`

	// MaxKeys is the largest number of breakers kept. 0 means 1,024.
	MaxKeys int

	// MaxOpenFraction, in (0, 1), is the share of breakers that may refuse calls.
	// When more than that are not closed, of at least 5 in all, the fault is
	// probably on this side, and breakers that are open or half-open admit all
	// calls. 0 means no such limit.
	MaxOpenFraction float64
}

// Validate reports everything that is wrong with c, or nil.
func (c SetConfig[K]) Validate() error {
	var errs []error
	if c.MaxKeys < 0 {
		errs = append(errs, fmt.Errorf("breaker: SetConfig.MaxKeys is %d, want 1 or more, or 0 for the default", c.MaxKeys))
	}
	if math.IsNaN(c.MaxOpenFraction) || c.MaxOpenFraction < 0 || c.MaxOpenFraction >= 1 {
		errs = append(errs, fmt.Errorf("breaker: SetConfig.MaxOpenFraction is %v, want less than 1, or 0 for no limit", c.MaxOpenFraction))
	}
	return errors.Join(errs...)
}

func (c SetConfig[K]) withDefaults() SetConfig[K] {
	c.MaxKeys = cmp.Or(c.MaxKeys, 1024)
	return c
}

// A Set has one breaker for each key: host, tenant, shard. It makes them when they
// are first asked for, and keeps at most MaxKeys: a new one takes the place of one
// that nobody has asked for lately. A breaker that is open or whose mode is not Auto
// is kept for longer than others. A breaker that has lost its place goes on for
// those who still hold it. A Set is safe for concurrent use: to find a breaker takes
// no lock. Make it with [NewSet].
type Set[K comparable] struct {
	cfg  SetConfig[K]
	fuse *fuse
	all  table[K]

	mu      sync.Mutex // held to change the set
	order   queue[K]
	evicted uint64
}

// minFuse is the number of breakers below which none is overruled.
const minFuse = 5

// A fuse knows how many breakers of a set are not closed.
type fuse struct {
	limit         float64
	size, tripped atomic.Int64
	overruled     atomic.Uint64 // calls
}

func (f *fuse) overrules() bool {
	n := f.size.Load()
	return f.limit > 0 && n >= minFuse && float64(f.tripped.Load()) > f.limit*float64(n)
}

// changed is told that a breaker of the set has changed its state.
func (f *fuse) changed(from, to State) {
	if from == Closed && to != Closed {
		f.tripped.Add(1)
	} else if from != Closed && to == Closed {
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
	s.all.init()
	return s
}

// Get returns the breaker for key. It panics if the configuration for a new one is
// not valid. A key that does not equal itself, such as NaN, gets a new breaker each
// time, which is not kept.
func (s *Set[K]) Get(key K) *Breaker {
	hash := s.all.hash(key)
	m := s.all.find(key, hash)
	if m == nil {
		return s.add(key, hash)
	}
	if !m.used.Load() { // to read is cheap, to write is not
		m.used.Store(true)
	}
	return m.Breaker
}

// add makes the breaker for key, unless there is one.
func (s *Set[K]) add(key K, hash uint64) *Breaker {
	b := New(s.config(key))
	if !equal(key, key) {
		return b
	}
	b.set = s.fuse

	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.all.find(key, hash); m != nil {
		return m.Breaker
	}
	if s.order.len == s.cfg.MaxKeys {
		s.dropLocked(s.victimLocked())
		s.evicted++
	}
	m := &member[K]{key: key, hash: hash, Breaker: b}
	s.all.addLocked(m, s.order.len)
	s.order.push(m)
	s.fuse.size.Add(1)
	return b
}

func (s *Set[K]) config(key K) (cfg Config) {
	if s.cfg.Config != nil {
		cfg = s.cfg.Config(key)
	}
	if cfg.Name == "" {
		cfg.Name = fmt.Sprint(key)
		if s.cfg.Name != "" {
			cfg.Name = s.cfg.Name + " " + cfg.Name
		}
	}
	return cfg
}

func equal[K comparable](a, b K) bool { return a == b }

// victimLocked returns a breaker that nobody will miss. It passes over a member once
// for each time that it was used, and a few times more: the cost is constant, on
// average.
func (s *Set[K]) victimLocked() *member[K] {
	for {
		m := s.order.first
		if m.used.Load() {
			m.used.Store(false)
			m.spared = 0
		} else if m.spared < m.spare() {
			m.spared++
		} else {
			return m
		}
		s.order.remove(m)
		s.order.push(m)
	}
}

// spare is how often a member is passed over that is not used.
func (b *Breaker) spare() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.mode != Auto:
		return 4 // somebody has decided
	case b.current.Load().state == Open:
		return 1 // it knows something, which will soon be out of date
	}
	return 0
}

// dropLocked removes a breaker, which goes on for those who still hold it.
func (s *Set[K]) dropLocked(m *member[K]) {
	m.mu.Lock()
	s.fuse.changed(m.current.Load().state, Closed)
	m.dropped = true
	m.mu.Unlock()
	s.order.remove(m)
	s.all.removeLocked(m)
	s.fuse.size.Add(-1)
}

// Remove drops the breaker for key and reports whether there was one. The next Get
// makes a new one.
func (s *Set[K]) Remove(key K) bool {
	hash := s.all.hash(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.all.find(key, hash)
	if m != nil {
		s.dropLocked(m)
	}
	return m != nil
}

// All returns the breakers by key, as they are when the iteration begins, in no
// order.
func (s *Set[K]) All() iter.Seq2[K, *Breaker] {
	return func(yield func(K, *Breaker) bool) {
		for _, m := range s.members() {
			if !yield(m.key, m.Breaker) {
				return
			}
		}
	}
}

func (s *Set[K]) members() []*member[K] {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*member[K], 0, s.order.len)
	for m := s.order.first; m != nil; m = m.behind {
		all = append(all, m)
	}
	return all
}

// Overruled reports whether so many breakers are not closed that they admit all
// calls; see MaxOpenFraction.
func (s *Set[K]) Overruled() bool { return s.fuse.overrules() }
