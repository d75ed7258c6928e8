package otelbelay

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/belay-go/belay/gateway/httpcache"
)

var cacheMeasures = []measure[httpcache.Stats]{
	statuses("belay.httpcache.calls", "{call}", "How many calls were answered from the cache, and how?",
		func(s httpcache.Stats, put func(fmt.Stringer, uint64)) {
			put(httpcache.Hit, s.Hits)
			put(httpcache.Miss, s.Misses)
			put(httpcache.Validated, s.Validated)
			put(httpcache.Stale, s.Stale)
			put(httpcache.Bypassed, s.Bypassed)
		}),
	count("belay.httpcache.collapsed", "{call}", "How many calls shared the answer to another?",
		func(s httpcache.Stats) uint64 { return s.Collapsed }),
	count("belay.httpcache.refused", "{call}", "How many calls wanted only what is stored, and nothing was?",
		func(s httpcache.Stats) uint64 { return s.Refused }),
	count("belay.httpcache.refreshed", "{request}", "How many validations were there in the background?",
		func(s httpcache.Stats) uint64 { return s.Refreshed }),
	count("belay.httpcache.failed", "{request}", "How many validations in the background failed?",
		func(s httpcache.Stats) uint64 { return s.Failed }),
	count("belay.httpcache.stored", "{response}", "How much is taken in?",
		func(s httpcache.Stats) uint64 { return s.Stored }),
	count("belay.httpcache.invalidated", "{response}", "How much do writes and purges remove?",
		func(s httpcache.Stats) uint64 { return s.Invalidated }),
	count("belay.httpcache.evicted", "{key}", "Is MaxBytes too small?",
		func(s httpcache.Stats) uint64 { return s.Evicted }),
	size("belay.httpcache.keys", "{key}", "How many responses are stored?",
		func(s httpcache.Stats) int { return s.Keys }),
	size("belay.httpcache.partitions", "{partition}", "Does a credential change with each request?",
		func(s httpcache.Stats) int { return s.Partitions }),
	size("belay.httpcache.size", "By", "How much memory does the cache take?",
		func(s httpcache.Stats) int { return int(s.Bytes) }),
	count("belay.panics", "{panic}", asksPanics,
		func(s httpcache.Stats) uint64 { return s.Panics }),
}

// HTTPCache is for the Observe of an [httpcache.Config].
func (o *Observer) HTTPCache(ctx context.Context, e httpcache.Event) {
	level := slog.LevelDebug
	if e.Kind == httpcache.Refreshed && e.Err != nil {
		level = slog.LevelInfo // nobody else hears of it
	}
	o.tell(ctx, level, "httpcache", e.Kind, e)
}
