package otelbelay

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/belay-go/belay/breaker"
)

var breakerMeasures = []measure[breaker.Stats]{
	states("belay.breaker.state", "{breaker}", "Is the backend down?",
		func(s breaker.Stats, put func(fmt.Stringer, int)) {
			for _, state := range []breaker.State{breaker.Closed, breaker.Open, breaker.HalfOpen} {
				n := 0
				if s.State == state {
					n = 1
				}
				put(state, n)
			}
		}),
	count("belay.breaker.calls", "{call}", "How many calls were let through?",
		func(s breaker.Stats) uint64 { return s.Calls }),
	count("belay.breaker.failed", "{call}", "How many calls failed?",
		func(s breaker.Stats) uint64 { return s.Failed }),
	count("belay.breaker.slow", "{call}", "How many calls were slow?",
		func(s breaker.Stats) uint64 { return s.Slow }),
	count("belay.breaker.ignored", "{call}", "How many calls say nothing about the backend?",
		func(s breaker.Stats) uint64 { return s.Ignored }),
	count("belay.breaker.refused", "{call}", "How many calls was the backend spared?",
		func(s breaker.Stats) uint64 { return s.Refused }),
	count("belay.breaker.overruled", "{call}", "How many calls were let through since too many breakers were open?",
		func(s breaker.Stats) uint64 { return s.Overruled }),
	count("belay.breaker.trials", "{call}", "How often was the backend tried again?",
		func(s breaker.Stats) uint64 { return s.Trials }),
	count("belay.breaker.opened", "{opening}", "How often was the backend down?",
		func(s breaker.Stats) uint64 { return s.Opened }),
	size("belay.breaker.overdue", "{call}", "How many calls hang?",
		func(s breaker.Stats) int { return s.Overdue }),
	count("belay.panics", "{panic}", asksPanics,
		func(s breaker.Stats) uint64 { return s.Panics }),
}

// A Set has its breakers' numbers only for those who pass its All to Watch.
var setMeasures = []measure[breaker.SetStats]{
	size("belay.breaker.set.keys", "{breaker}", "How many keys have a breaker?",
		func(s breaker.SetStats) int { return s.Keys }),
	size("belay.breaker.set.open", "{breaker}", "How many breakers are not closed?",
		func(s breaker.SetStats) int { return s.Open }),
	count("belay.breaker.set.evicted", "{breaker}", "Is MaxKeys too small?",
		func(s breaker.SetStats) uint64 { return s.Evicted }),
	count("belay.breaker.set.overruled", "{call}", "How many calls were let through since too many breakers were open?",
		func(s breaker.SetStats) uint64 { return s.Overruled }),
}

// Breaker is for the Observe of a [breaker.Config].
func (o *Observer) Breaker(ctx context.Context, e breaker.Event) {
	level := slog.LevelDebug
	if e.Kind == breaker.Changed {
		level = slog.LevelInfo
		if e.Transition.To == breaker.Open {
			level = slog.LevelWarn
		}
	}
	o.tell(ctx, level, "breaker", e.Kind, e)
}
