package loadbalance

import (
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
	population
	samples [4]string // of the list, against one that has changed
}

const (
	longList = 8  // keys, from which on a list is known by its place
	maxLists = 16 // that are known
)

func placeOf(keys []string) place { return place{unsafe.SliceData(keys), len(keys)} }

func samplesOf(keys []string) (s [4]string) {
	for i := range s {
		s[i] = keys[i*(len(keys)-1)/(len(s)-1)]
	}
	return s
}

// get returns the population of a list, nil if it is not known.
func (p *prefers) get(keys []string) *preferred {
	if known := p.known.Load(); known != nil {
		if found := (*known)[placeOf(keys)]; found != nil && found.samples == samplesOf(keys) {
			return found
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

// preferred returns those of a set with these keys, whatever their health.
func (s *set) preferred(keys []string) *preferred {
	if found := s.prefers.get(keys); found != nil {
		return found
	}
	found := &preferred{samples: samplesOf(keys)}
	s.fill(&found.population, keys)
	s.prefers.add(keys, found)
	return found
}

// fill makes p those of the set with these keys.
func (s *set) fill(p *population, keys []string) {
	p.reset(len(s.nodes), false)
	for _, key := range keys {
		if i, ok := s.index[key]; ok {
			p.put(i, true)
		}
	}
	p.sum()
}

// preferred returns those with these keys that can be picked. It may use own for it.
func (s *snapshot) preferred(keys []string, own *population) *population {
	if len(keys) < longList {
		s.fill(own, keys)
		if s.up != nil {
			own.and(s.up)
		}
		return own
	}
	if found := s.prefers.get(keys); found != nil {
		return &found.population
	}
	all := s.set.preferred(keys)
	if s.up == nil {
		s.prefers.add(keys, all)
		return &all.population
	}
	found := &preferred{samples: all.samples}
	found.copy(&all.population)
	found.and(s.up)
	s.prefers.add(keys, found)
	return &found.population
}
