package otelbelay

import (
	"context"
	"log/slog"
	"math"

	"github.com/belay-go/belay/ratelimit"
	"golang.org/x/time/rate"
)

// A Limiter and a Keyed tell the same of calls, and so have the same metrics.
const (
	asksCalls   = "How many calls were let through?"
	asksWaited  = "How many calls had to wait?"
	asksRefused = "How many calls were too many?"
	asksWaiting = "How long is the queue?"
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
	size("belay.ratelimit.keys", "{key}", "How many keys are remembered?",
		func(s ratelimit.KeyedStats) int { return s.Keys }),
	count("belay.ratelimit.evicted", "{key}", "Is MaxKeys too small?",
		func(s ratelimit.KeyedStats) uint64 { return s.Evicted }),
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

// RateLimit is for the Observe of a [ratelimit.Config], [ratelimit.KeyedConfig] and
// [ratelimit.BulkheadConfig]. It leaves out calls that did not have to wait.
func (o *Observer) RateLimit(ctx context.Context, e ratelimit.Event) {
	if e.Kind == ratelimit.Admitted && e.Waited == 0 {
		return
	}
	o.tell(ctx, slog.LevelDebug, "ratelimit", e.Kind, e)
}
