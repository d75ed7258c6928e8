package loadbalance

import (
	"math/rand/v2"
	"sync/atomic"
	"unsafe"
)

// prefers has the populations of long lists of keys, which are looked up once for a set
// and once for a snapshot. A list is known by its place in memory, which the reference
// here keeps from being used for another.
type prefers struct {
	known atomic.Pointer[[]*preferred]
}

type preferred struct {
	first      *string // of the list
	len        int
	samples    [4]string // of it, against one that has changed
	population population
}

const (
	longList = 3  // keys, from which on a list is known by its place
	maxLists = 16 // that are known
	admitted = 16 // one of so many is: most lists that are made for one pick are not
)

func newPreferred(keys []string, of *population) *preferred {
	p := &preferred{first: unsafe.SliceData(keys), len: len(keys), samples: samplesOf(keys)}
	p.population.copy(of)
	p.population.enumerate()
	return p
}

// is reports whether p is of that list, whatever it has in it.
func (p *preferred) is(keys []string) bool {
	return p.first == unsafe.SliceData(keys) && p.len == len(keys)
}

func samplesOf(keys []string) (s [4]string) {
	for i := range s {
		s[i] = keys[i*(len(keys)-1)/(len(s)-1)]
	}
	return s
}

// get returns the population of a list, nil if it is not known.
func (p *prefers) get(keys []string) *population {
	if known := p.known.Load(); known != nil {
		for _, found := range *known {
			if found.is(keys) && found.samples == samplesOf(keys) {
				return &found.population
			}
		}
	}
	return nil
}

// add makes a list known. Whoever comes second adds nothing, and does no harm.
func (p *prefers) add(keys []string, population *population) {
	old := p.known.Load()
	known := []*preferred{newPreferred(keys, population)}
	if old != nil && len(*old) < maxLists {
		for _, other := range *old {
			if !other.is(keys) {
				known = append(known, other)
			}
		}
	}
	p.known.CompareAndSwap(old, &known)
}

// preferred makes own those of a set with these keys.
func (s *set) preferred(keys []string, own *population) {
	if found := s.prefers.get(keys); found != nil {
		own.copy(found)
		return
	}
	own.reset(len(s.nodes), false)
	for _, key := range keys {
		if i, ok := s.index[key]; ok {
			own.put(i, true)
		}
	}
	own.sum()
	if len(keys) >= longList && rand.Uint32N(admitted) == 0 {
		s.prefers.add(keys, own)
	}
}

// preferred returns those with these keys that can be picked. It may use own for it.
func (s *snapshot) preferred(keys []string, own *population) *population {
	if found := s.prefers.get(keys); found != nil {
		return found
	}
	if s.set.preferred(keys, own); s.up != nil {
		own.and(s.up)
	}
	if s.set.prefers.get(keys) != nil {
		s.prefers.add(keys, own)
	}
	return own
}
