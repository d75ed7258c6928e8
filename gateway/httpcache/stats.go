package httpcache

import (
	"log/slog"
	"sync/atomic"
)

// Stats is a snapshot of a [Cache]. The counters count since its making. Their sums are
// exact while no call is under way, but for calls that have panicked: these count nowhere.
type Stats struct {
	Name       string // of the cache
	Keys       int    // known now
	Partitions int    // that they are in; as many as requests: a credential changes each time
	Bytes      int64  // they take, and what is on its way to them

	Calls                                    uint64 // that have ended, with a response or an error
	Hits, Misses, Validated, Stale, Bypassed uint64 // of them, by how
	Collapsed                                uint64 // of them, those that shared what another was answered
	Refused                                  uint64 // not among Calls: nobody was asked
	Refreshed, Failed                        uint64 // validations in the background, and those of them that failed
	Stored                                   uint64 // responses that were taken in, or validated and kept
	Invalidated                              uint64 // responses removed by writes, purges, and answers of the origin
	Evicted                                  uint64 // keys that had to make room
	Panics                                   uint64 // of Observe, or of a body, in the background
}

// counters are those of Stats.
type counters struct {
	kinds                                          [kinds]atomic.Uint64
	collapsed, stored, invalidated, failed, panics atomic.Uint64
}

// Stats returns a snapshot.
func (c *Cache) Stats() Stats {
	n := &c.counters
	s := Stats{
		Name: c.cfg.Name,
		Hits: n.kinds[Hit].Load(), Misses: n.kinds[Miss].Load(), Validated: n.kinds[Validated].Load(),
		Stale: n.kinds[Stale].Load(), Bypassed: n.kinds[Bypassed].Load(),
		Collapsed: n.collapsed.Load(), Refused: n.kinds[Refused].Load(), Refreshed: n.kinds[Refreshed].Load(), Failed: n.failed.Load(),
		Stored: n.stored.Load(), Invalidated: n.invalidated.Load(), Panics: n.panics.Load(),
	}
	s.Calls = s.Hits + s.Misses + s.Validated + s.Stale + s.Bypassed
	if c.store != nil {
		c.store.mu.Lock()
		defer c.store.mu.Unlock()
		s.Evicted, s.Keys, s.Partitions = c.store.evicted, c.store.lru.Len(), len(c.store.partitions)
		s.Bytes = c.store.bytes + c.store.pending
	}
	return s
}

// LogValue shows the counters that are not 0.
func (s Stats) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("name", s.Name), slog.Uint64("calls", s.Calls)}
	for _, c := range []struct {
		name string
		n    uint64
	}{
		{"hits", s.Hits}, {"misses", s.Misses}, {"validated", s.Validated}, {"stale", s.Stale}, {"bypassed", s.Bypassed},
		{"collapsed", s.Collapsed}, {"refused", s.Refused}, {"refreshed", s.Refreshed}, {"failed", s.Failed}, {"stored", s.Stored},
		{"invalidated", s.Invalidated}, {"evicted", s.Evicted}, {"panics", s.Panics}, {"keys", uint64(s.Keys)},
		{"partitions", uint64(s.Partitions)}, {"bytes", uint64(s.Bytes)},
	} {
		if c.n != 0 {
			attrs = append(attrs, slog.Uint64(c.name, c.n))
		}
	}
	return slog.GroupValue(attrs...)
}
