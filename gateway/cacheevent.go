package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
)

// A CacheKind says what a [CacheEvent] tells.
type CacheKind uint8

const (
	// CacheHit: a stored response was fresh, or was allowed to be used stale.
	CacheHit CacheKind = iota
	// CacheMiss: the request went to the origin.
	CacheMiss
	// CacheValidated: it went there, and the origin said that what is stored is good.
	CacheValidated
	// CacheStale: a stale response was used because the origin failed with Err, or
	// with an error status.
	CacheStale
	// CacheBypassed: the request does not concern the cache.
	CacheBypassed
	// CacheRefreshed: a validation in the background has ended, with Err if it failed.
	CacheRefreshed
	// CacheInvalidated: a write, or a purge, has removed Entries responses.
	CacheInvalidated
	// CacheEvicted: Entries keys had to make room.
	CacheEvicted
)

func (k CacheKind) String() string {
	if k > CacheEvicted {
		return fmt.Sprintf("CacheKind(%d)", uint8(k))
	}
	return [...]string{"hit", "miss", "validated", "stale", "bypassed", "refreshed", "invalidated", "evicted"}[k]
}

// CacheEvent is what CacheConfig.Observe is told. It says nothing of URLs, which may
// have secrets in them; Request does.
type CacheEvent struct {
	Kind    CacheKind     // says which of the others are set
	Request *http.Request // the caller's, if there is one; not to be changed
	Status  Status        // of the answer, in the kinds up to CacheBypassed
	Entries int           // CacheInvalidated, CacheEvicted
	Err     error         // CacheStale, CacheRefreshed
}

// CacheStats is a snapshot of a [Cache]. The counters count since its making.
type CacheStats struct {
	Hits, Misses, Validated, Stale, Bypassed uint64 // requests by how they were answered
	Collapsed                                uint64 // of them, those that shared another's response
	Refreshes                                uint64 // validations in the background
	Invalidated, Evicted                     uint64 // responses removed by writes and purges, and keys for room
	Keys                                     int    // known now
	Bytes                                    int64  // they take
}

// cacheCounters are the counters of CacheStats.
type cacheCounters struct {
	answers                [CacheEvicted + 1]atomic.Uint64
	collapsed, invalidated atomic.Uint64
}

// note counts an event, and tells it.
func (c *Cache) note(ctx context.Context, e *CacheEvent) {
	c.counters.answers[e.Kind].Add(1)
	if e.Status.Collapsed {
		c.counters.collapsed.Add(1)
	}
	if e.Kind == CacheInvalidated {
		c.counters.invalidated.Add(uint64(e.Entries))
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(ctx, *e)
	}
}

// Stats returns a snapshot.
func (c *Cache) Stats() CacheStats {
	n := &c.counters
	s := CacheStats{
		Hits: n.answers[CacheHit].Load(), Misses: n.answers[CacheMiss].Load(),
		Validated: n.answers[CacheValidated].Load(), Stale: n.answers[CacheStale].Load(),
		Bypassed: n.answers[CacheBypassed].Load(), Collapsed: n.collapsed.Load(),
		Refreshes: n.answers[CacheRefreshed].Load(), Invalidated: n.invalidated.Load(),
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	s.Evicted, s.Keys, s.Bytes = c.store.evicted, c.store.lru.Len(), c.store.bytes
	return s
}
