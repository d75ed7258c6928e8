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
	size("belay.breaker.overdue", "{call}", "How many calls hang?",
		func(s breaker.Stats) int { return s.Overdue }),
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
