package httpcache

import (
	"hash/maphash"
	"math"
	"net/http"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxVariants is how many responses are kept for one key.
const maxVariants = 32

// slotBytes is what a slot takes, with its places in the tables.
const slotBytes = 400

// A store holds the entries, within a budget of bytes; the key that was used
// least recently goes first, with all its variants. All partitions of a target are
// linked, so that one write invalidates them all. Tables go by hashes.
type store struct {
	maxBytes int64
	seed     maphash.Seed

	mu         sync.Mutex
	lru        *simplelru.LRU[uint64, *slot]
	targets    map[uint64]*slot  // the first of each list
	partitions map[partition]int // how many slots are in each
	bytes      int64             // of what is stored
	pending    int64             // of bodies on their way
	evicted    uint64
	untold     int // of them, those that no event has told of

	// Counters of invalidations, by the target's hash: what was asked for before one
	// is not stored after it. There are so many because targets that share one suffer.
	generations [1 << 14]uint32
	all         uint32 // counts those that concern every target
}

// A slot holds what is stored for a key.
type slot struct {
	key        key
	hash       hash
	next, prev *slot    // of the same target
	variants   []*entry // the newest first; the slice never changes
	size       int64
}

// A generation is a moment in the history of a target.
type generation struct{ target, all uint32 }

func newStore(maxBytes int64) *store {
	s := &store{maxBytes: maxBytes, seed: maphash.MakeSeed(), targets: map[uint64]*slot{}, partitions: map[partition]int{}}
	s.lru, _ = simplelru.NewLRU[uint64](math.MaxInt, s.unlinkLocked) // which fails for sizes below 1
	return s
}

// unlinkLocked is called for each slot that leaves the list.
func (s *store) unlinkLocked(_ uint64, slot *slot) {
	s.bytes -= slot.size
	if s.partitions[slot.key.partition]--; s.partitions[slot.key.partition] == 0 {
		delete(s.partitions, slot.key.partition)
	}
	switch {
	case slot.prev != nil:
		slot.prev.next = slot.next
	case slot.next != nil:
		s.targets[slot.hash.target] = slot.next
	default:
		delete(s.targets, slot.hash.target)
	}
	if slot.next != nil {
		slot.next.prev = slot.prev
	}
}

// get returns what is stored for a key, at which moment.
func (s *store) get(k *key, h hash) ([]*entry, generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.generationLocked(h)
	if slot, ok := s.lru.Get(h.key); ok && slot.key == *k {
		return slot.variants, now
	}
	return nil, now
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
func (s *store) generation(h hash) generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generationLocked(h)
}

func (s *store) generationLocked(h hash) generation {
	return generation{*s.counterLocked(h), s.all}
}

func (s *store) counterLocked(h hash) *uint32 {
	return &s.generations[h.target%uint64(len(s.generations))]
}

// put stores an entry in place of those that would be selected by the same request,
// unless the target has been invalidated since the generation g. It also returns how
// many keys have had to go since it last did.
func (s *store) put(k *key, h hash, e *entry, header http.Header, g generation) (stored bool, evicted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g != s.generationLocked(h) {
		return false, 0
	}
	slot := s.slotLocked(k, h)
	variants := append(e.alone[:0], e)
	for _, old := range slot.variants {
		if !varyMatches(old.vary, header) && len(variants) < maxVariants {
			variants = append(variants, old)
		}
	}
	// Most recent by Date, section 4; equal ones in the order of their arrival.
	slices.SortStableFunc(variants, func(a, b *entry) int { return b.date.Compare(a.date) })
	s.resizeLocked(slot, variants)
	s.evictLocked()
	evicted, s.untold = s.untold, 0
	return true, evicted
}

// evictLocked makes what is there fit into the budget.
func (s *store) evictLocked() {
	for s.bytes+s.pending > s.maxBytes && s.lru.Len() > 0 {
		s.lru.RemoveOldest()
		s.evicted++
		s.untold++
	}
}

// room takes n bytes of the budget for a body on its way, if that has so much, and
// gives them back if n is negative.
func (s *store) room(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.pending+n > s.maxBytes {
		return false
	}
	s.pending += n
	s.evictLocked()
	return true
}

// slotLocked returns the one for a key, made anew if need be.
func (s *store) slotLocked(k *key, h hash) *slot {
	found, ok := s.lru.Get(h.key)
	if ok && found.key == *k {
		return found
	}
	if ok { // another key with the same hash
		s.lru.Remove(h.key)
	}
	made := &slot{key: k.clone(), hash: h, next: s.targets[h.target]}
	if made.next != nil {
		made.next.prev = made
	}
	s.targets[h.target] = made
	s.partitions[made.key.partition]++
	s.lru.Add(h.key, made)
	return made
}

// resizeLocked gives a slot other variants.
func (s *store) resizeLocked(slot *slot, variants []*entry) {
	k := &slot.key
	size := int64(slotBytes + len(k.scheme) + len(k.host) + len(k.path) + len(k.query) + len(k.via))
	for _, e := range variants {
		size += e.size()
	}
	s.bytes += size - slot.size
	slot.variants, slot.size = variants, size
}

// peekLocked returns the slot of a key without using it, or nil.
func (s *store) peekLocked(k *key, h hash) *slot {
	if slot, ok := s.lru.Peek(h.key); ok && slot.key == *k {
		return slot
	}
	return nil
}

// drop removes one entry, if it is still there.
func (s *store) drop(k *key, h hash, e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.peekLocked(k, h)
	if slot == nil || !slices.Contains(slot.variants, e) {
		return false
	}
	if len(slot.variants) == 1 {
		s.lru.Remove(h.key)
	} else {
		s.resizeLocked(slot, slices.DeleteFunc(slices.Clone(slot.variants), func(v *entry) bool { return v == e }))
	}
	return true
}

// remove removes all variants of a key, and what was asked for before. It returns how
// many there were, and the generation that g is now, if it was the present one.
func (s *store) remove(k *key, h hash, g generation) (n int, now generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	present := g == s.generationLocked(h)
	*s.counterLocked(h)++
	if slot := s.peekLocked(k, h); slot != nil {
		n = len(slot.variants)
		s.lru.Remove(h.key)
	}
	if present {
		g = s.generationLocked(h)
	}
	return n, g
}

// invalidate removes what is stored for a target, in all partitions.
func (s *store) invalidate(t target) (n int) {
	h := hash{target: maphash.Comparable(s.seed, t)}
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.counterLocked(h)++
	for slot := s.targets[h.target]; slot != nil; {
		next := slot.next
		if slot.key.target == t {
			n += len(slot.variants)
			s.lru.Remove(slot.hash.key)
		}
		slot = next
	}
	return n
}

// purge removes all for which match reports true.
func (s *store) purge(match func(*key) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	for _, slot := range s.lru.Values() {
		if match(&slot.key) {
			n += len(slot.variants)
			s.lru.Remove(slot.hash.key)
		}
	}
	return n
}
