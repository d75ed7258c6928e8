package otelbelay

import (
	"context"
	"log/slog"
	"math"

	"github.com/belay-go/belay/ratelimit"
	"golang.org/x/time/rate"
)

// A Limiter, a Keyed and a Shared tell the same of calls, and so have the same metrics.
const (
	asksCalls   = "How many calls were let through?"
	asksWaited  = "How many calls had to wait?"
	asksRefused = "How many calls were too many?"
	asksWaiting = "How long is the queue?"
	asksKeys    = "How many keys are remembered?"
	asksEvicted = "Is MaxKeys too small?"
)

var limiterMeasures = []measure[ratelimit.Stats]{
	count("belay.ratelimit.calls", "{call}", asksCalls,
		func(s ratelimit.Stats) uint64 { return s.Calls }),
	count("belay.ratelimit.waited", "{call}", asksWaited,
		func(s ratelimit.Stats) uint64 { return s.Waited }),
	count("belay.ratelimit.refused", "{call}", asksRefused,
		func(s ratelimit.Stats) uint64 { return s.Refused }),
	size("belay.ratelimit.waiting", "{call}", asksWaiting,
		func(s ratelimit.Stats) int { return s.Waiting }),
	value("belay.ratelimit.limit", "{token}/s", "How much is agreed?",
		func(s ratelimit.Stats) float64 {
			if s.Limit == rate.Inf {
				return math.Inf(1)
			}
			return float64(s.Limit)
		}),
	value("belay.ratelimit.tokens", "{token}", "How much of a burst is left?",
		func(s ratelimit.Stats) float64 { return s.Tokens }),
}

var keyedMeasures = []measure[ratelimit.KeyedStats]{
	count("belay.ratelimit.calls", "{call}", asksCalls,
		func(s ratelimit.KeyedStats) uint64 { return s.Calls }),
	count("belay.ratelimit.waited", "{call}", asksWaited,
		func(s ratelimit.KeyedStats) uint64 { return s.Waited }),
	count("belay.ratelimit.refused", "{call}", asksRefused,
		func(s ratelimit.KeyedStats) uint64 { return s.Refused }),
	size("belay.ratelimit.waiting", "{call}", asksWaiting,
		func(s ratelimit.KeyedStats) int { return s.Waiting }),
	size("belay.ratelimit.keys", "{key}", asksKeys,
		func(s ratelimit.KeyedStats) int { return s.Keys }),
	count("belay.ratelimit.evicted", "{key}", asksEvicted,
		func(s ratelimit.KeyedStats) uint64 { return s.Evicted }),
}

var sharedMeasures = []measure[ratelimit.SharedStats]{
	count("belay.ratelimit.calls", "{call}", asksCalls,
		func(s ratelimit.SharedStats) uint64 { return s.Calls }),
	count("belay.ratelimit.waited", "{call}", asksWaited,
		func(s ratelimit.SharedStats) uint64 { return s.Waited }),
	count("belay.ratelimit.refused", "{call}", asksRefused,
		func(s ratelimit.SharedStats) uint64 { return s.Refused }),
	size("belay.ratelimit.waiting", "{call}", asksWaiting,
		func(s ratelimit.SharedStats) int { return s.Waiting }),
	size("belay.ratelimit.keys", "{key}", asksKeys,
		func(s ratelimit.SharedStats) int { return s.Keys }),
	count("belay.ratelimit.evicted", "{key}", asksEvicted,
		func(s ratelimit.SharedStats) uint64 { return s.Evicted }),
	value("belay.ratelimit.shared.owners", "{process}", "How many processes share the limit?",
		func(s ratelimit.SharedStats) float64 { return float64(s.Owners) }),
	count("belay.ratelimit.shared.asked", "{request}", "How often is the store asked?",
		func(s ratelimit.SharedStats) uint64 { return s.Asked }),
	count("belay.ratelimit.shared.store_failed", "{request}", "How often does the store not answer?",
		func(s ratelimit.SharedStats) uint64 { return s.StoreFailed }),
}

var bulkheadMeasures = []measure[ratelimit.BulkheadStats]{
	count("belay.ratelimit.concurrency.calls", "{call}", asksCalls,
		func(s ratelimit.BulkheadStats) uint64 { return s.Calls }),
	count("belay.ratelimit.concurrency.waited", "{call}", asksWaited,
		func(s ratelimit.BulkheadStats) uint64 { return s.Waited }),
	count("belay.ratelimit.concurrency.refused", "{call}", asksRefused,
		func(s ratelimit.BulkheadStats) uint64 { return s.Refused }),
	size("belay.ratelimit.concurrency.waiting", "{call}", asksWaiting,
		func(s ratelimit.BulkheadStats) int { return s.Waiting }),
	size("belay.ratelimit.concurrency.in_use", "{place}", "How many places are taken?",
		func(s ratelimit.BulkheadStats) int { return s.InUse }),
	size("belay.ratelimit.concurrency.limit", "{place}", "How many places are there?",
		func(s ratelimit.BulkheadStats) int { return s.Limit }),
}

// RateLimit is for the Observe of a [ratelimit.Config] and of the other limits of its
// package. It leaves out calls that did not have to wait.
func (o *Observer) RateLimit(ctx context.Context, e ratelimit.Event) {
	level := slog.LevelDebug
	switch {
	case e.Kind == ratelimit.Admitted && e.Waited == 0:
		return
	case e.Kind == ratelimit.StoreDown:
		level = slog.LevelWarn
	case e.Kind == ratelimit.StoreUp:
		level = slog.LevelInfo
	}
	o.tell(ctx, level, "ratelimit", e.Kind, e)
}
