package otelbelay_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

var errDown = errors.New("down")

// Each kind of event, as it stands on a span and in a log.
func TestEvents(t *testing.T) {
	for _, tt := range []struct {
		tell func(context.Context, *otelbelay.Observer)
		span string
		log  string
	}{
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Breaker(ctx, breaker.Event{Kind: breaker.Changed, Name: "db", Transition: breaker.Transition{From: breaker.Closed, To: breaker.Open, Reason: "5 failures", Counts: breaker.Counts{Calls: 5, Failed: 5}}})
		}, "belay.breaker.changed belay.calls=5 belay.failed=5 belay.from=closed belay.kind=changed belay.name=db belay.reason=5 failures belay.to=open",
			`level=WARN msg="breaker: changed" kind=changed name=db from=closed to=open reason="5 failures" calls=5 failed=5`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Breaker(ctx, breaker.Event{Kind: breaker.Changed, Transition: breaker.Transition{From: breaker.HalfOpen, To: breaker.Closed}})
		}, "belay.breaker.changed belay.from=half-open belay.kind=changed belay.reason= belay.to=closed",
			`level=INFO msg="breaker: changed" kind=changed from=half-open to=closed reason=""`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Breaker(ctx, breaker.Event{Kind: breaker.Refused, Err: breaker.ErrOpen})
		}, "belay.breaker.refused belay.err=breaker: open belay.kind=refused",
			`level=DEBUG msg="breaker: refused" kind=refused err="breaker: open"`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Retry(ctx, retry.Event{Kind: retry.Retrying, Attempt: 1, Elapsed: time.Second, Delay: 250 * time.Millisecond, Err: errDown})
		}, "belay.retry.retrying belay.attempt=1 belay.delay=0.25 belay.elapsed=1 belay.err=down belay.kind=retrying",
			`level=DEBUG msg="retry: retrying" kind=retrying attempt=1 elapsed=1s delay=250ms err=down`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Retry(ctx, retry.Event{Kind: retry.Panicked, Err: errDown})
		}, "belay.retry.panicked belay.elapsed=0 belay.err=down belay.kind=panicked",
			`level=ERROR msg="retry: panicked" kind=panicked elapsed=0s err=down`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.RateLimit(ctx, ratelimit.Event{Kind: ratelimit.Admitted, N: 1})
		}, "", ""},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.RateLimit(ctx, ratelimit.Event{Kind: ratelimit.Admitted, N: 1, Waited: time.Millisecond})
		}, "belay.ratelimit.admitted belay.kind=admitted belay.n=1 belay.waited=0.001",
			`level=DEBUG msg="ratelimit: admitted" kind=admitted n=1 waited=1ms`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.RateLimit(ctx, ratelimit.Event{Kind: ratelimit.Refused, N: 1, Cause: ratelimit.ErrLimited})
		}, "belay.ratelimit.refused belay.cause=ratelimit: limited belay.kind=refused belay.n=1",
			`level=DEBUG msg="ratelimit: refused" kind=refused n=1 cause="ratelimit: limited"`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.RateLimit(ctx, ratelimit.Event{Kind: ratelimit.StoreDown, Cause: errDown})
		}, "belay.ratelimit.store_down belay.cause=down belay.kind=store down",
			`level=WARN msg="ratelimit: store down" kind="store down" cause=down`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.RateLimit(ctx, ratelimit.Event{Kind: ratelimit.StoreUp})
		}, "belay.ratelimit.store_up belay.kind=store up", `level=INFO msg="ratelimit: store up" kind="store up"`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.LoadBalance(ctx, loadbalance.Event{Kind: loadbalance.Changed, Key: "a", From: loadbalance.Healthy, To: loadbalance.Ejected, Reason: "5 failures"})
		}, "belay.loadbalance.changed belay.from=healthy belay.key=a belay.kind=changed belay.reason=5 failures belay.to=ejected",
			`level=WARN msg="loadbalance: changed" kind=changed key=a from=healthy to=ejected reason="5 failures"`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.LoadBalance(ctx, loadbalance.Event{Kind: loadbalance.Updated, Size: 3})
		}, "belay.loadbalance.updated belay.kind=updated belay.size=3", `level=INFO msg="loadbalance: updated" kind=updated size=3`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.LoadBalance(ctx, loadbalance.Event{Kind: loadbalance.SourceFailed, Err: errDown})
		}, "belay.loadbalance.source_failed belay.err=down belay.kind=source failed",
			`level=WARN msg="loadbalance: source failed" kind="source failed" err=down`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.LoadBalance(ctx, loadbalance.Event{Kind: loadbalance.Panicked, Panic: true})
		}, "belay.loadbalance.panicked belay.kind=panicked belay.panic=true", `level=WARN msg="loadbalance: panicked" kind=panicked panic=true`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.LoadBalance(ctx, loadbalance.Event{Kind: loadbalance.Refused, Err: errDown})
		}, "belay.loadbalance.refused belay.err=down belay.kind=refused", `level=DEBUG msg="loadbalance: refused" kind=refused err=down`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Gateway(ctx, gateway.Event{Kind: gateway.Ended, Name: "shop", Endpoint: "GET /x", Method: "GET", Status: 200, Elapsed: time.Second})
		}, "belay.gateway.ended belay.elapsed=1 belay.endpoint=GET /x belay.kind=ended belay.method=GET belay.name=shop belay.status=200",
			`level=DEBUG msg="gateway: ended" kind=ended name=shop endpoint="GET /x" method=GET status=200 elapsed=1s`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.HTTPCache(ctx, httpcache.Event{Kind: httpcache.Evicted, Name: "belay", Entries: 2})
		}, "belay.httpcache.evicted belay.entries=2 belay.kind=evicted belay.name=belay", `level=DEBUG msg="httpcache: evicted" kind=evicted name=belay entries=2`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.HTTPCache(ctx, httpcache.Event{Kind: httpcache.Refreshed, Name: "belay", Err: errDown})
		}, "belay.httpcache.refreshed belay.err=down belay.kind=refreshed belay.name=belay", `level=INFO msg="httpcache: refreshed" kind=refreshed name=belay err=down`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Facade(ctx, facade.Event{Kind: facade.Called, Elapsed: time.Second, Spans: []facade.Span{{Part: "ads", Status: facade.Failed, Err: errDown, Critical: true}}})
		}, "belay.facade.called belay.ads.critical=true belay.ads.end=0 belay.ads.err=down belay.ads.start=0 belay.ads.status=failed belay.elapsed=1 belay.kind=called",
			`level=DEBUG msg="facade: called" kind=called elapsed=1s ads.status=failed ads.err=down ads.start=0s ads.end=0s ads.critical=true`},
		{func(ctx context.Context, o *otelbelay.Observer) {
			o.Facade(ctx, facade.Event{Kind: facade.Late, Part: "pay", Undo: errDown})
		}, "belay.facade.late belay.elapsed=0 belay.kind=late belay.part=pay belay.undo=down",
			`level=ERROR msg="facade: late" kind=late part=pay elapsed=0s undo=down`},
	} {
		spans := tracetest.NewInMemoryExporter()
		tracer := trace.NewTracerProvider(trace.WithSyncer(spans)).Tracer("test")
		var log strings.Builder
		o := otelbelay.New(otelbelay.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			Level:       slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return dropTime(a) },
		}))})

		ctx, span := tracer.Start(t.Context(), "call")
		tt.tell(ctx, o)
		span.End()
		var got []string
		for _, e := range spans.GetSpans()[0].Events {
			got = append(got, e.Name+" "+strings.Join(emit(e.Attributes), " "))
		}
		if diff := cmp.Diff(tt.span, strings.Join(got, "\n")); diff != "" {
			t.Error("on the span:", diff)
		}
		want := tt.log
		if want != "" {
			want += " trace_id=" + span.SpanContext().TraceID().String() + " span_id=" + span.SpanContext().SpanID().String() + "\n"
		}
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Error("in the log:", diff)
		}

		log.Reset()
		tt.tell(context.Background(), o)
		want = tt.log
		if want != "" {
			want += "\n"
		}
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Error("in the log, without a span:", diff)
		}
	}
}

func dropTime(a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// What is not listened to is not put together.
func TestEventsCostLittle(t *testing.T) {
	o := otelbelay.New(otelbelay.Config{Logger: slog.New(slog.DiscardHandler)})
	e := retry.Event{Kind: retry.Retrying, Attempt: 1, Err: errDown}
	if n := testing.AllocsPerRun(100, func() { o.Retry(t.Context(), e) }); n > 1 {
		t.Errorf("%v allocations for an event that nobody wants", n)
	}
}
