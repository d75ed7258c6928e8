package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
)

// A Kind says what a [Event] tells.
type Kind uint8

const (
	// Hit: a stored response was fresh, or was allowed to be used stale.
	Hit Kind = iota
	// Miss: the request went to the origin.
	Miss
	// Validated: it went there, and the origin said that what is stored is good.
	Validated
	// Stale: a stale response was used because the origin failed with Err, or
	// with an error status.
	Stale
	// Bypassed: the request does not concern the cache.
	Bypassed
	// Refreshed: a validation in the background has ended, with Err if it failed.
	Refreshed
	// Invalidated: a write, or a purge, has removed Entries responses.
	Invalidated
	// Evicted: Entries keys had to make room.
	Evicted
)

func (k Kind) String() string {
	if k > Evicted {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"hit", "miss", "validated", "stale", "bypassed", "refreshed", "invalidated", "evicted"}[k]
}

// Event is what Config.Observe is told. It says nothing of URLs, which may
// have secrets in them; Request does.
type Event struct {
	Kind    Kind          // says which of the others are set
	Request *http.Request // the caller's, if there is one; not to be changed
	Status  Status        // of the answer, in the kinds up to Bypassed
	Entries int           // Invalidated, Evicted
	Err     error         // Stale, Refreshed
}

// Stats is a snapshot of a [Cache]. The counters count since its making.
type Stats struct {
	Hits, Misses, Validated, Stale, Bypassed uint64 // requests by how they were answered
	Collapsed                                uint64 // of them, those that shared another's response
	Refreshes                                uint64 // validations in the background
	Invalidated, Evicted                     uint64 // responses removed by writes and purges, and keys for room
	Keys                                     int    // known now
	Bytes                                    int64  // they take
}

// counters are the counters of Stats.
type counters struct {
	answers                [Evicted + 1]atomic.Uint64
	collapsed, invalidated atomic.Uint64
}

// note counts an event, and tells it.
func (c *Cache) note(ctx context.Context, e *Event) {
	c.counters.answers[e.Kind].Add(1)
	if e.Status.Collapsed {
		c.counters.collapsed.Add(1)
	}
	if e.Kind == Invalidated {
		c.counters.invalidated.Add(uint64(e.Entries))
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(ctx, *e)
	}
}

// Stats returns a snapshot.
func (c *Cache) Stats() Stats {
	n := &c.counters
	s := Stats{
		Hits: n.answers[Hit].Load(), Misses: n.answers[Miss].Load(),
		Validated: n.answers[Validated].Load(), Stale: n.answers[Stale].Load(),
		Bypassed: n.answers[Bypassed].Load(), Collapsed: n.collapsed.Load(),
		Refreshes: n.answers[Refreshed].Load(), Invalidated: n.invalidated.Load(),
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	s.Evicted, s.Keys, s.Bytes = c.store.evicted, c.store.lru.Len(), c.store.bytes
	return s
}
