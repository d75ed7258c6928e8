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
	known atomic.Pointer[map[place]*preferred]
}

type place struct {
	first *string
	len   int
}

type preferred struct {
	population population
	samples    [4]string // of the list, against one that has changed
}

const (
	longList = 3  // keys, from which on a list is known by its place
	maxLists = 16 // that are known
	admitted = 16 // one of so many is: most lists that are made for one pick are not
)

func placeOf(keys []string) place { return place{unsafe.SliceData(keys), len(keys)} }

func samplesOf(keys []string) (s [4]string) {
	for i := range s {
		s[i] = keys[i*(len(keys)-1)/(len(s)-1)]
	}
	return s
}

// get returns the population of a list, nil if it is not known.
func (p *prefers) get(keys []string) *population {
	if known := p.known.Load(); known != nil {
		if found := (*known)[placeOf(keys)]; found != nil && found.samples == samplesOf(keys) {
			return &found.population
		}
	}
	return nil
}

// add makes a list known. Whoever comes second adds nothing, and does no harm.
func (p *prefers) add(keys []string, found *preferred) {
	old := p.known.Load()
	known := map[place]*preferred{placeOf(keys): found}
	if old != nil && len(*old) < maxLists {
		for at, f := range *old {
			if at != placeOf(keys) {
				known[at] = f
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
		found := &preferred{samples: samplesOf(keys)}
		found.population.copy(own)
		s.prefers.add(keys, found)
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
		found := &preferred{samples: samplesOf(keys)}
		found.population.copy(own)
		s.prefers.add(keys, found)
	}
	return own
}
