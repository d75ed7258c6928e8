package breaker

import (
	"hash/maphash"
	"sync/atomic"
)

// A table finds the members of a Set by their keys. To find one takes no lock. Who
// changes the table holds the Set's lock, and so it is asked again, with the lock held,
// for what was not found: a growing table may hide a member for a moment.
type table[K comparable] struct {
	seed    maphash.Seed
	buckets atomic.Pointer[[]atomic.Pointer[member[K]]] // lists; their number is a power of two
}

// A member is a breaker of a Set, and what keeps it there.
type member[K comparable] struct {
	key  K
	hash uint64
	next atomic.Pointer[member[K]] // in its list of the table
	*Breaker

	used   atomic.Bool // since it was last at the end of the queue
	spared int         // how often it was passed over there though it was not used

	ahead, behind *member[K] // in the queue
}

// A queue is the order in which members are asked to make room. Who comes to its end
// and has been used goes to its beginning again. Who uses it holds the Set's lock.
type queue[K comparable] struct {
	first, last *member[K]
	len         int
}

// push lets m stand last.
func (q *queue[K]) push(m *member[K]) {
	m.ahead, m.behind = q.last, nil
	if q.last != nil {
		q.last.behind = m
	} else {
		q.first = m
	}
	q.last = m
	q.len++
}

func (q *queue[K]) remove(m *member[K]) {
	if m.ahead != nil {
		m.ahead.behind = m.behind
	} else {
		q.first = m.behind
	}
	if m.behind != nil {
		m.behind.ahead = m.ahead
	} else {
		q.last = m.ahead
	}
	q.len--
}

func (t *table[K]) init() {
	t.seed = maphash.MakeSeed()
	t.buckets.Store(new(make([]atomic.Pointer[member[K]], 8)))
}

func (t *table[K]) hash(key K) uint64 { return maphash.Comparable(t.seed, key) }

func (t *table[K]) find(key K, hash uint64) *member[K] {
	buckets := *t.buckets.Load()
	m := buckets[hash&uint64(len(buckets)-1)].Load()
	for m != nil && (m.hash != hash || m.key != key) {
		m = m.next.Load()
	}
	return m
}

// addLocked adds m to the n members that there are.
func (t *table[K]) addLocked(m *member[K], n int) {
	buckets := *t.buckets.Load()
	if n >= len(buckets) {
		more := make([]atomic.Pointer[member[K]], 2*len(buckets))
		for i := range buckets {
			for m := buckets[i].Load(); m != nil; {
				next := m.next.Load()
				push(more, m)
				m = next
			}
		}
		t.buckets.Store(&more)
		buckets = more
	}
	push(buckets, m)
}

func push[K comparable](buckets []atomic.Pointer[member[K]], m *member[K]) {
	first := &buckets[m.hash&uint64(len(buckets)-1)]
	m.next.Store(first.Load())
	first.Store(m)
}

func (t *table[K]) removeLocked(m *member[K]) {
	buckets := *t.buckets.Load()
	at := &buckets[m.hash&uint64(len(buckets)-1)]
	for at.Load() != m {
		at = &at.Load().next
	}
	at.Store(m.next.Load())
}
