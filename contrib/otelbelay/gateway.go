package otelbelay

import (
	"context"
	"log/slog"

	"github.com/belay-go/belay/gateway"
)

var gatewayMeasures = []measure[gateway.EndpointStats]{
	count("belay.gateway.calls", "{call}", "How often is an endpoint called?",
		func(s gateway.EndpointStats) uint64 { return s.Calls }),
	count("belay.gateway.failed", "{call}", "Which endpoint fails?",
		func(s gateway.EndpointStats) uint64 { return s.Failed }),
	count("belay.gateway.limited", "{call}", "How many calls failed since we call too often?",
		func(s gateway.EndpointStats) uint64 { return s.Limited }),
	count("belay.gateway.refused", "{call}", "How many calls were not sent at all?",
		func(s gateway.EndpointStats) uint64 { return s.Refused }),
	count("belay.gateway.replayed", "{request}", "How many requests were sent again with other credentials?",
		func(s gateway.EndpointStats) uint64 { return s.Replayed }),
	size("belay.gateway.in_flight", "{call}", "How many calls are under way?",
		func(s gateway.EndpointStats) int { return s.InFlight }),
}

// Gateway is for the Observe of a [gateway.Config].
func (o *Observer) Gateway(ctx context.Context, e gateway.Event) {
	o.tell(ctx, slog.LevelDebug, "gateway", e.Kind, e)
}
