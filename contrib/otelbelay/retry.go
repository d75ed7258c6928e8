package otelbelay

import (
	"context"
	"log/slog"

	"github.com/belay-go/belay/retry"
)

var retryMeasures = []measure[retry.Stats]{
	count("belay.retry.retried", "{call}", "How many calls needed another attempt?",
		func(s retry.Stats) uint64 { return s.Retried }),
	count("belay.retry.retries", "{attempt}", "How much load do retries add?",
		func(s retry.Stats) uint64 { return s.Retries }),
	count("belay.retry.recovered", "{call}", "How many calls did a retry save?",
		func(s retry.Stats) uint64 { return s.Recovered }),
	count("belay.retry.gave_up", "{call}", "How many calls failed for good?",
		func(s retry.Stats) uint64 { return s.GaveUp }),
	count("belay.retry.refused", "{call}", "How many calls had no budget for another attempt?",
		func(s retry.Stats) uint64 { return s.Refused }),
	count("belay.retry.expired", "{call}", "How many calls had no time for another attempt?",
		func(s retry.Stats) uint64 { return s.Expired }),
}

var budgetMeasures = []measure[retry.BudgetStats]{
	value("belay.retry.budget.balance", "{attempt}", "How many retries could be made at once?",
		func(s retry.BudgetStats) float64 { return s.Balance }),
	count("belay.retry.budget.granted", "{attempt}", "How many retries and hedges have been made?",
		func(s retry.BudgetStats) uint64 { return s.Granted }),
	count("belay.retry.budget.refused", "{attempt}", "How many retries and hedges would have been too many?",
		func(s retry.BudgetStats) uint64 { return s.Refused }),
}

var hedgeMeasures = []measure[retry.HedgeStats]{
	value("belay.retry.hedge.delay", "s", "How slow is a call before it is hedged?",
		func(s retry.HedgeStats) float64 { return s.Delay.Seconds() }),
	count("belay.retry.hedge.hedges", "{attempt}", "How much load do hedges add?",
		func(s retry.HedgeStats) uint64 { return s.Hedges }),
	count("belay.retry.hedge.wins", "{attempt}", "How many hedges were faster?",
		func(s retry.HedgeStats) uint64 { return s.Wins }),
	count("belay.retry.hedge.refused", "{attempt}", "How many hedges had no budget?",
		func(s retry.HedgeStats) uint64 { return s.Refused }),
	count("belay.panics", "{panic}", asksPanics,
		func(s retry.HedgeStats) uint64 { return s.Panics }),
}

// Retry is for the Observe of a [retry.Config] and a [retry.HedgeConfig].
func (o *Observer) Retry(ctx context.Context, e retry.Event) {
	level := slog.LevelDebug
	if e.Kind == retry.Panicked {
		level = slog.LevelError
	}
	o.tell(ctx, level, "retry", e.Kind, e)
}
