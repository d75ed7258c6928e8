package httpcache

import (
	"hash/maphash"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxVariants is how many responses are kept for one key.
const maxVariants = 32

// A store holds the entries, within a budget of bytes; the key that was used
// least recently goes first, with all its variants. All partitions of a target are
// linked, so that one write invalidates them all.
type store struct {
	maxBytes int64

	mu      sync.Mutex
	lru     *simplelru.LRU[key, *slot]
	targets map[target]*slot // the first of each list
	bytes   int64
	evicted uint64

	// Counters of invalidations, by the target's hash: what was asked for before one
	// is not stored after it. There are so many because targets that share one suffer.
	seed        maphash.Seed
	generations [1 << 14]uint32
	all         uint32 // counts those that concern every target
}

// A slot holds what is stored for a key.
type slot struct {
	key        key
	next, prev *slot    // of the same target
	variants   []*entry // the newest first; the slice never changes
	size       int64
	pass       time.Time // until then, requests are not worth waiting for one another
}

// A generation is a moment in the history of a target.
type generation struct{ target, all uint32 }

func newStore(maxBytes int64) *store {
	s := &store{maxBytes: maxBytes, targets: map[target]*slot{}, seed: maphash.MakeSeed()}
	s.lru, _ = simplelru.NewLRU[key](math.MaxInt, s.unlink) // which fails for sizes below 1
	return s
}

// unlink is called for each slot that leaves the list.
func (s *store) unlink(key key, slot *slot) {
	s.bytes -= slot.size
	switch {
	case slot.prev != nil:
		slot.prev.next = slot.next
	case slot.next != nil:
		s.targets[key.target] = slot.next
	default:
		delete(s.targets, key.target)
	}
	if slot.next != nil {
		slot.next.prev = slot.prev
	}
}

// get returns what is stored for a key.
func (s *store) get(key key) (variants []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.lru.Get(key); ok {
		return slot.variants
	}
	return nil
}

// selectEntry returns the newest of the variants that fits a request.
func selectEntry(variants []*entry, h http.Header) *entry {
	for _, e := range variants {
		if varyMatches(e.vary, h) {
			return e
		}
	}
	return nil
}

// generation returns the present moment in the history of a target.
func (s *store) generation(t target) generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return generation{*s.counter(t), s.all}
}

func (s *store) counter(t target) *uint32 {
	return &s.generations[maphash.Comparable(s.seed, t)%uint64(len(s.generations))]
}

// put stores an entry in place of those that would be selected by the same request,
// unless the target has been invalidated since the generation g.
func (s *store) put(key key, e *entry, h http.Header, g generation) (stored bool, evicted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g != (generation{*s.counter(key.target), s.all}) {
		return false, 0
	}
	slot := s.slot(key)
	variants := make([]*entry, 1, 1+len(slot.variants))
	variants[0] = e
	for _, old := range slot.variants {
		if !varyMatches(old.vary, h) && len(variants) < maxVariants {
			variants = append(variants, old)
		}
	}
	// Most recent by Date, section 4; equal ones in the order of their arrival.
	slices.SortStableFunc(variants, func(a, b *entry) int { return b.date.Compare(a.date) })
	slot.pass = time.Time{}
	s.resize(slot, variants)
	before := s.evicted
	for s.bytes > s.maxBytes {
		s.lru.RemoveOldest()
		s.evicted++
	}
	return true, s.evicted - before
}

// slot returns the one for a key, made anew if need be.
func (s *store) slot(key key) *slot {
	if slot, ok := s.lru.Get(key); ok {
		return slot
	}
	slot := &slot{key: key.clone(), next: s.targets[key.target]}
	if slot.next != nil {
		slot.next.prev = slot
	}
	s.targets[slot.key.target] = slot
	s.lru.Add(slot.key, slot)
	return slot
}

// resize gives a slot other variants.
func (s *store) resize(slot *slot, variants []*entry) {
	k := slot.key
	size := int64(320 + 2*(len(k.scheme)+len(k.host)+len(k.path)+len(k.query)+len(k.via)+len(k.partition)))
	for _, e := range variants {
		size += e.size()
	}
	s.bytes += size - slot.size
	slot.variants, slot.size = variants, size
}

// drop removes one entry, if it is still there.
func (s *store) drop(key key, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.lru.Peek(key)
	if !ok || !slices.Contains(slot.variants, e) {
		return
	}
	if len(slot.variants) == 1 {
		s.lru.Remove(key)
		return
	}
	s.resize(slot, slices.DeleteFunc(slices.Clone(slot.variants), func(v *entry) bool { return v == e }))
}

// setPass notes that responses for a key are not stored.
func (s *store) setPass(key key, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.slot(key)
	slot.pass = until
	s.resize(slot, slot.variants)
	for s.bytes > s.maxBytes {
		s.lru.RemoveOldest()
		s.evicted++
	}
}

func (s *store) passes(key key, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, ok := s.lru.Peek(key)
	return ok && now.Before(slot.pass)
}

// invalidate removes what is stored for a target, in all partitions.
func (s *store) invalidate(t target) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.counter(t)++
	for slot := s.targets[t]; slot != nil; {
		next := slot.next
		n += len(slot.variants)
		s.lru.Remove(slot.key)
		slot = next
	}
	return n
}

// purge removes all for which match reports true.
func (s *store) purge(match func(key) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	for _, key := range s.lru.Keys() {
		if match(key) {
			slot, _ := s.lru.Peek(key)
			n += len(slot.variants)
			s.lru.Remove(key)
		}
	}
	return n
}
