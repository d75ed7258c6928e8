package httpcache

import (
	"sync"
	"time"
)

// passes remembers what was found not to be storable, so that requests for it do not
// wait for one another. There is a fixed number of places, and the newest has its
// place: what is forgotten waits once more.
type passes struct {
	mu     sync.Mutex
	places [1 << 10]struct {
		hash  uint64
		since instant
		last  time.Duration
	}
}

// minPass is for how long something is remembered at least. What took long to answer
// is remembered for ten times as long: it may be asked for as seldom.
const minPass = time.Minute

// add notes that the response to a request, which took so long, was not to be stored.
func (p *passes) add(hash uint64, now instant, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	place := &p.places[hash%uint64(len(p.places))]
	place.hash, place.since, place.last = hash, now, max(minPass, 10*took)
}

// remove forgets it, since it was stored.
func (p *passes) remove(hash uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place := &p.places[hash%uint64(len(p.places))]; place.hash == hash {
		place.last = 0
	}
}

func (p *passes) has(hash uint64, now instant) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	place := &p.places[hash%uint64(len(p.places))]
	return place.hash == hash && now.sub(place.since) < place.last
}
