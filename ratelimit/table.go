package ratelimit

import (
	"sync"
	"time"
)

// A shard is a part of the keys of a [Keyed]: a hash table with linear probing, and the
// state of each key, which is one word, the time at which its bucket will be full.
// A key whose bucket is full is as good as absent.
type shard[K comparable] struct {
	mu     sync.Mutex
	hashes []uint32 // of the key in each slot; 0: free
	slots  []slot[K]
	used   int
	max    int
	hand   int // where the search for a key to forget goes on

	// debts are when the buckets of forgotten keys will be full, by hash: the latest,
	// where several share a word. Times that are past mean nothing. nil: none.
	debts []time.Duration

	_ [64]byte // so that two shards do not share a cache line
}

type slot[K comparable] struct {
	key K
	// word is twice the time at which the bucket will be full, plus 1 if the slot was
	// used since the hand passed.
	word int64
}

const (
	minSlots = 8
	// look is how many keys the hand passes to find one whose bucket is full.
	look = 32
)

// place maps a hash to [0, n).
func place(hash uint32, n int) int { return int(uint64(hash) * uint64(n) >> 32) }

// find returns the slot of key, or the free one in which it belongs, if any.
func (s *shard[K]) find(hash uint32, key K) (i int, ok bool) {
	if s.used == 0 {
		return 0, false
	}
	for i = place(hash, len(s.hashes)); ; {
		switch s.hashes[i] {
		case hash:
			if s.slots[i].key == key {
				return i, true
			}
		case 0:
			return i, false
		}
		if i++; i == len(s.hashes) {
			i = 0
		}
	}
}

func (s *shard[K]) fullAt(i int) time.Duration { return time.Duration(s.slots[i].word >> 1) }

func (s *shard[K]) set(i int, fullAt time.Duration) { s.slots[i].word = int64(fullAt)<<1 | 1 }

// debt returns when the bucket of an absent key will be full, at most emptyAt.
func (s *shard[K]) debt(hash uint32, emptyAt time.Duration) time.Duration {
	if s.debts == nil {
		return 0
	}
	return min(s.debts[place(hash, len(s.debts))], emptyAt)
}

// insert adds a key that is absent.
func (s *shard[K]) insert(hash uint32, key K, fullAt, now time.Duration) {
	entry := slot[K]{key, int64(fullAt) << 1}
	if s.used > 0 {
		// A key whose bucket is full may give its slot away.
		for i := place(hash, len(s.hashes)); s.hashes[i] != 0; {
			if s.fullAt(i) <= now {
				s.hashes[i], s.slots[i] = hash, entry
				return
			}
			if i++; i == len(s.hashes) {
				i = 0
			}
		}
	}
	if full := s.used == s.max; full || s.used >= len(s.slots)-len(s.slots)/5 {
		if victim := s.sweep(now, full); victim >= 0 {
			s.forget(victim)
		} else if s.used >= len(s.slots)-len(s.slots)/5 {
			s.grow()
		}
	}
	s.put(hash, entry)
}

func (s *shard[K]) put(hash uint32, entry slot[K]) {
	i := place(hash, len(s.hashes))
	for s.hashes[i] != 0 {
		if i++; i == len(s.hashes) {
			i = 0
		}
	}
	s.hashes[i], s.slots[i] = hash, entry
	s.used++
}

// sweep lets the hand pass some keys, and removes the first whose bucket is full. If it
// meets none and one must go, it returns the slot of the first key that was not used
// since the hand passed; otherwise -1.
func (s *shard[K]) sweep(now time.Duration, must bool) (victim int) {
	victim = -1
	for seen := 0; seen < min(look, s.used) || must && victim < 0; s.hand++ {
		if s.hand >= len(s.slots) {
			s.hand = 0
		}
		i := s.hand
		switch {
		case s.hashes[i] == 0:
			continue
		case s.fullAt(i) <= now:
			s.remove(i)
			return -1
		case s.slots[i].word&1 != 0:
			s.slots[i].word &^= 1
		case must && victim < 0:
			victim = i
		}
		seen++
	}
	return victim
}

// forget removes a key whose bucket is not full; its debt stays.
func (s *shard[K]) forget(i int) {
	if s.debts == nil {
		s.debts = make([]time.Duration, s.max)
	}
	debt := &s.debts[place(s.hashes[i], len(s.debts))]
	*debt = max(*debt, s.fullAt(i))
	s.remove(i)
}

// remove frees slot i and moves up what follows, so that no search ends too early.
func (s *shard[K]) remove(i int) {
	n := len(s.slots)
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		if s.hashes[j] == 0 {
			break
		}
		// What is in j may stand in i unless its own place lies between the two.
		if home := place(s.hashes[j], n); (j-home+n)%n >= (j-i+n)%n {
			s.hashes[i], s.slots[i] = s.hashes[j], s.slots[j]
			i = j
		}
	}
	s.hashes[i], s.slots[i] = 0, slot[K]{}
	s.used--
}

// grow moves the keys to a table with twice as many slots, or as max needs.
func (s *shard[K]) grow() {
	size := max(minSlots, min(2*len(s.slots), s.max+s.max/4+2))
	hashes, slots := s.hashes, s.slots
	s.hashes, s.slots, s.used, s.hand = make([]uint32, size), make([]slot[K], size), 0, 0
	for i, hash := range hashes {
		if hash != 0 {
			s.put(hash, slots[i])
		}
	}
}
