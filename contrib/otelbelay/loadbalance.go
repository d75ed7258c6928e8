package otelbelay

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/belay-go/belay/loadbalance"
)

var balancerMeasures = []measure[*loadbalance.Stats]{
	size("belay.loadbalance.panic", "{balancer}", "Are so few endpoints healthy that health is ignored?",
		func(s *loadbalance.Stats) int { return toInt(s.Panic) }),
	size("belay.loadbalance.source_failing", "{balancer}", "Is the set of endpoints out of date?",
		func(s *loadbalance.Stats) int { return toInt(s.Err != nil) }),
	count("belay.loadbalance.refused", "{call}", "How many calls had no endpoint to go to?",
		func(s *loadbalance.Stats) uint64 { return s.Refused }),
	count("belay.panics", "{panic}", asksPanics,
		func(s *loadbalance.Stats) uint64 { return s.Panics }),
}

var endpointMeasures = []measure[*loadbalance.EndpointStats]{
	states("belay.loadbalance.state", "{endpoint}", "Which endpoint is out, and why?",
		func(s *loadbalance.EndpointStats, put func(fmt.Stringer, int)) { put(s.State, 1) }),
	count("belay.loadbalance.calls", "{call}", "Which endpoint takes how many calls?",
		func(s *loadbalance.EndpointStats) uint64 { return s.Calls }),
	count("belay.loadbalance.failed", "{call}", "Which endpoint fails?",
		func(s *loadbalance.EndpointStats) uint64 { return s.Failed }),
	count("belay.loadbalance.overloaded", "{call}", "Which endpoint says that it has too much to do?",
		func(s *loadbalance.EndpointStats) uint64 { return s.Overloaded }),
	count("belay.loadbalance.ignored", "{call}", "How many calls say nothing about an endpoint?",
		func(s *loadbalance.EndpointStats) uint64 { return s.Ignored }),
	count("belay.loadbalance.trials", "{call}", "How often was an endpoint tried again?",
		func(s *loadbalance.EndpointStats) uint64 { return s.Trials }),
	count("belay.loadbalance.ejected", "{ejection}", "How often was an endpoint taken out?",
		func(s *loadbalance.EndpointStats) uint64 { return s.Ejected }),
	size("belay.loadbalance.in_flight", "{call}", "How many calls does an endpoint work on?",
		func(s *loadbalance.EndpointStats) int { return s.InFlight }),
	value("belay.loadbalance.latency", "s", "How fast is an endpoint expected to answer?",
		func(s *loadbalance.EndpointStats) float64 { return s.Latency.Seconds() }),
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// LoadBalance is for the Observe of a [loadbalance.Config].
func (o *Observer) LoadBalance(ctx context.Context, e loadbalance.Event) {
	level := slog.LevelInfo
	switch {
	case e.Kind == loadbalance.Refused:
		level = slog.LevelDebug
	case e.Kind == loadbalance.SourceFailed, e.Panic,
		e.Kind == loadbalance.Changed && (e.To == loadbalance.Ejected || e.To == loadbalance.Unhealthy):
		level = slog.LevelWarn
	}
	o.tell(ctx, level, "loadbalance", e.Kind, e)
}
