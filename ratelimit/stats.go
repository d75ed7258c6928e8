package ratelimit

import (
	"log/slog"
	"math"

	"golang.org/x/time/rate"
)

// Stats is a snapshot of a [Limiter]. Its counts are of calls since the Limiter was
// made; they never fall. A call for no tokens does not count.
type Stats struct {
	Name    string     // Config.Name
	Limit   rate.Limit // tokens per second
	Burst   int        // tokens that the bucket holds
	Tokens  float64    // tokens that are there
	Waiting int        // calls in the queue

	Calls   uint64 // were let through
	Waited  uint64 // of Calls: have stood in the queue
	Refused uint64 // were not let through
}

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (s Stats) LogValue() slog.Value {
	return slog.GroupValue(append(named(s.Name), slog.Float64("limit", float64(s.Limit)), slog.Int("burst", s.Burst),
		slog.Float64("tokens", s.Tokens), slog.Int("waiting", s.Waiting),
		slog.Uint64("calls", s.Calls), slog.Uint64("waited", s.Waited), slog.Uint64("refused", s.Refused))...)
}

// Stats returns a snapshot. That of a nil *Limiter says only that it has no limit.
func (l *Limiter) Stats() Stats {
	if l == nil {
		return Stats{Limit: rate.Inf, Burst: math.MaxInt, Tokens: math.Inf(1)}
	}
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	b := l.current()
	waited := l.waited.Load() // before Calls, which is never less
	return Stats{
		Name:    l.observe.name,
		Limit:   b.limit,
		Burst:   b.burst,
		Tokens:  l.Tokens(),
		Waiting: int(l.line.waiting.Load()),
		Calls:   l.calls.Load() + b.calls.Load(),
		Waited:  waited,
		Refused: l.refused.Load() + b.refused.Load(),
	}
}

// KeyedStats is a snapshot of a [Keyed]. Its counts are of calls for all keys since the
// Keyed was made; they never fall. A call for no tokens does not count.
type KeyedStats struct {
	Name    string // KeyedConfig.Name
	Keys    int    // keys that are remembered
	Waiting int    // calls in the queues

	Calls   uint64 // were let through
	Waited  uint64 // of Calls: have stood in a queue
	Refused uint64 // were not let through
	Evicted uint64 // keys that had to make room before their bucket was full
}

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (s KeyedStats) LogValue() slog.Value {
	return slog.GroupValue(append(named(s.Name), slog.Int("keys", s.Keys), slog.Int("waiting", s.Waiting),
		slog.Uint64("calls", s.Calls), slog.Uint64("waited", s.Waited), slog.Uint64("refused", s.Refused),
		slog.Uint64("evicted", s.Evicted))...)
}

// Stats returns a snapshot, which is taken of one part of the keys after the other.
// That of a nil *Keyed is empty.
func (k *Keyed[K]) Stats() KeyedStats {
	if k == nil {
		return KeyedStats{}
	}
	stats := KeyedStats{Name: k.observe.name, Refused: k.ended.Load()}
	for i := range k.shards {
		k.shards[i].addTo(&stats)
	}
	return stats
}

func (s *shard[K]) addTo(stats *KeyedStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Keys += s.table.used
	for _, q := range s.queues {
		stats.Waiting += int(q.line.waiting.Load())
	}
	stats.Calls += s.calls
	stats.Waited += s.waited
	stats.Refused += s.refused.Load()
	stats.Evicted += s.table.evicted
}

// BulkheadStats is a snapshot of a [Bulkhead]. Its counts are of calls since the Bulkhead
// was made; they never fall. A call for no places does not count.
type BulkheadStats struct {
	Name    string // BulkheadConfig.Name
	Limit   int    // places
	InUse   int    // places taken; more than Limit after that was lowered
	Waiting int    // calls in the queue

	Calls   uint64 // were let through
	Waited  uint64 // of Calls: have stood in the queue
	Refused uint64 // were not let through
}

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (s BulkheadStats) LogValue() slog.Value {
	return slog.GroupValue(append(named(s.Name),
		slog.Int("limit", s.Limit), slog.Int("in_use", s.InUse), slog.Int("waiting", s.Waiting),
		slog.Uint64("calls", s.Calls), slog.Uint64("waited", s.Waited), slog.Uint64("refused", s.Refused))...)
}

// Stats returns a snapshot. That of a nil *Bulkhead says only that it has no limit.
func (b *Bulkhead) Stats() BulkheadStats {
	if b == nil {
		return BulkheadStats{Limit: math.MaxInt}
	}
	if b.full == nil {
		return BulkheadStats{} // it was not made by NewBulkhead
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	b.foldLocked()
	waited := b.waited.Load() // before Calls, which is never less
	limit, word := b.limit.Load(), b.word.Load()
	return BulkheadStats{
		Name:    b.observe.name,
		Limit:   int(limit),
		InUse:   int(limit - freeIn(word)),
		Waiting: int(b.line.waiting.Load()),
		Calls:   b.folded.Load() + uint64(word&^topBit)>>placeBits,
		Waited:  waited,
		Refused: b.refused.Load(),
	}
}

// SharedStats is a snapshot of a [Shared]. Its counts are of this process, for all keys,
// since the Shared was made; they never fall. A call for no tokens does not count.
type SharedStats struct {
	Name    string // SharedConfig.Name
	Keys    int    // keys that are remembered
	Waiting int    // calls in the queues
	Owners  int    // processes that use the limit, as the store said last
	Err     error  // why the store does not answer; nil if it does

	Calls       uint64 // were let through
	Waited      uint64 // of Calls: have stood in a queue
	Refused     uint64 // were not let through
	Evicted     uint64 // keys that had to make room
	Asked       uint64 // questions to the store
	StoreFailed uint64 // of Asked: without an answer
}

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (s SharedStats) LogValue() slog.Value {
	attrs := append(named(s.Name), slog.Int("keys", s.Keys), slog.Int("waiting", s.Waiting), slog.Int("owners", s.Owners),
		slog.Uint64("calls", s.Calls), slog.Uint64("waited", s.Waited), slog.Uint64("refused", s.Refused),
		slog.Uint64("evicted", s.Evicted), slog.Uint64("asked", s.Asked), slog.Uint64("store_failed", s.StoreFailed))
	if s.Err != nil {
		attrs = append(attrs, slog.Any("err", s.Err))
	}
	return slog.GroupValue(attrs...)
}

// Stats returns a snapshot. That of a nil *Shared is empty.
func (s *Shared) Stats() SharedStats {
	if s == nil || s.cfg.Store == nil {
		return SharedStats{}
	}
	waited := s.waited.Load() // before Calls, which is never less
	stats := SharedStats{Name: s.cfg.Name, Calls: s.calls.Load(), Waited: waited, Refused: s.refused.Load(), Evicted: s.evicted.Load()}
	for i := range s.shards {
		s.shards[i].addTo(&stats)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Owners, stats.Err, stats.Asked, stats.StoreFailed = s.owners, s.store.err, s.asked, s.failed
	return stats
}

func (sh *sharedShard) addTo(stats *SharedStats) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	stats.Keys += sh.keys.Len()
	for _, k := range sh.keys.Values() {
		stats.Waiting += int(k.line.waiting.Load())
	}
}
