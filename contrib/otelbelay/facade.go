package otelbelay

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/belay-go/belay/facade"
)

var facadeMeasures = []measure[facade.Stats]{
	count("belay.facade.calls", "{call}", "How many calls were there?",
		func(s facade.Stats) uint64 { return s.Calls }),
	count("belay.facade.failed", "{call}", "How many calls had no answer?",
		func(s facade.Stats) uint64 { return s.Failed }),
	count("belay.facade.partial", "{call}", "How many answers had parts missing?",
		func(s facade.Stats) uint64 { return s.Partial }),
	count("belay.facade.refused", "{call}", "How many calls had ended before they began?",
		func(s facade.Stats) uint64 { return s.Refused }),
	size("belay.facade.in_flight", "{call}", "How many calls are under way?",
		func(s facade.Stats) int { return s.InFlight }),
	count("belay.panics", "{panic}", asksPanics,
		func(s facade.Stats) uint64 { return s.Panics }),
}

var partMeasures = []measure[facade.PartStats]{
	statuses("belay.facade.parts", "{call}", "Which part is missing, and why?",
		func(s facade.PartStats, put func(fmt.Stringer, uint64)) {
			put(facade.OK, s.OK)
			put(facade.FellBack, s.FellBack)
			put(facade.Failed, s.Failed)
			put(facade.Skipped, s.Skipped)
			put(facade.Cancelled, s.Cancelled)
		}),
	count("belay.facade.left", "{call}", "Which part does not end when its time is up?",
		func(s facade.PartStats) uint64 { return s.Left }),
}

// Facade is for the Observe of a [facade.Config].
func (o *Observer) Facade(ctx context.Context, e facade.Event) {
	level := slog.LevelDebug
	if e.Kind == facade.Late && e.Undo != nil {
		level = slog.LevelError // what was done has not been undone
	}
	o.tell(ctx, level, "facade", e.Kind, e)
}
