package ratelimit

import "time"

// A table is a hash table with linear probing. It holds the state of each key, which
// is one word: the time at which its bucket will be full. A key whose bucket is full
// is as good as absent.
type table[K comparable] struct {
	hashes []uint32 // of the key in each slot; 0: free
	slots  []slot[K]
	used   int
	max    int
	hand   int // where the search for a key to forget goes on

	// debts are when the buckets of forgotten keys will be full, by hash: the latest,
	// where several share a word. Times that are past mean nothing. nil: none.
	debts []time.Duration
	// evicted is how many keys have left one.
	evicted uint64
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

func equal[K comparable](a, b K) bool { return a == b }

// place maps a hash to [0, n).
func place(hash uint32, n int) int { return int(uint64(hash) * uint64(n) >> 32) }

// find returns the slot of key, or the free one in which it belongs, if any.
func (t *table[K]) find(hash uint32, key K) (i int, ok bool) {
	if t.used == 0 {
		return 0, false
	}
	for i = place(hash, len(t.hashes)); ; {
		switch t.hashes[i] {
		case hash:
			if t.slots[i].key == key {
				return i, true
			}
		case 0:
			return i, false
		}
		if i++; i == len(t.hashes) {
			i = 0
		}
	}
}

func (t *table[K]) fullAt(i int) time.Duration { return time.Duration(t.slots[i].word >> 1) }

func (t *table[K]) set(i int, fullAt time.Duration) { t.slots[i].word = int64(fullAt)<<1 | 1 }

// debt returns when the bucket of an absent key will be full.
func (t *table[K]) debt(hash uint32) time.Duration {
	if t.debts == nil {
		return 0
	}
	return t.debts[place(hash, len(t.debts))]
}

// insert adds a key that is absent. One that is not equal to itself would never be found
// again; it is left out.
func (t *table[K]) insert(hash uint32, key K, fullAt, now time.Duration) {
	if !equal(key, key) {
		return
	}
	entry := slot[K]{key, int64(fullAt) << 1}
	if t.used > 0 {
		// A key whose bucket is full may give its slot away.
		for i := place(hash, len(t.hashes)); t.hashes[i] != 0; {
			if t.fullAt(i) <= now {
				t.hashes[i], t.slots[i] = hash, entry
				return
			}
			if i++; i == len(t.hashes) {
				i = 0
			}
		}
	}
	if full := t.used == t.max; full || t.used >= len(t.slots)-len(t.slots)/5 {
		if victim := t.sweep(now, full); victim >= 0 {
			t.forget(victim)
		} else if t.used >= len(t.slots)-len(t.slots)/5 {
			t.grow()
		}
	}
	t.put(hash, entry)
}

func (t *table[K]) put(hash uint32, entry slot[K]) {
	i := place(hash, len(t.hashes))
	for t.hashes[i] != 0 {
		if i++; i == len(t.hashes) {
			i = 0
		}
	}
	t.hashes[i], t.slots[i] = hash, entry
	t.used++
}

// sweep lets the hand pass some keys, and removes the first whose bucket is full. If it
// meets none and one must go, it returns the slot of the first key that was not used
// since the hand passed; otherwise -1.
func (t *table[K]) sweep(now time.Duration, must bool) (victim int) {
	victim = -1
	for seen := 0; seen < min(look, t.used) || must && victim < 0; t.hand++ {
		if t.hand >= len(t.slots) {
			t.hand = 0
		}
		i := t.hand
		switch {
		case t.hashes[i] == 0:
			continue
		case t.fullAt(i) <= now:
			t.remove(i)
			return -1
		case t.slots[i].word&1 != 0:
			t.slots[i].word &^= 1
		case must && victim < 0:
			victim = i
		}
		seen++
	}
	return victim
}

// forget removes a key whose bucket is not full; its debt stays.
func (t *table[K]) forget(i int) {
	if t.debts == nil {
		t.debts = make([]time.Duration, t.max)
	}
	debt := &t.debts[place(t.hashes[i], len(t.debts))]
	*debt = max(*debt, t.fullAt(i))
	t.evicted++
	t.remove(i)
}

// remove frees slot i and moves up what follows, so that no search ends too early.
func (t *table[K]) remove(i int) {
	n := len(t.slots)
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		if t.hashes[j] == 0 {
			break
		}
		// What is in j may stand in i unless its own place lies between the two.
		if home := place(t.hashes[j], n); (j-home+n)%n >= (j-i+n)%n {
			t.hashes[i], t.slots[i] = t.hashes[j], t.slots[j]
			i = j
		}
	}
	t.hashes[i], t.slots[i] = 0, slot[K]{}
	t.used--
}

// grow moves the keys to a table with twice as many slots, or as max needs.
func (t *table[K]) grow() {
	size := max(minSlots, min(2*len(t.slots), t.max+t.max/4+2))
	hashes, slots := t.hashes, t.slots
	t.hashes, t.slots, t.used, t.hand = make([]uint32, size), make([]slot[K], size), 0, 0
	for i, hash := range hashes {
		if hash != 0 {
			t.put(hash, slots[i])
		}
	}
}
