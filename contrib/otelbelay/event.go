package otelbelay

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// tell adds an event of a package to the span in ctx, and writes it to the log.
func (o *Observer) tell(ctx context.Context, level slog.Level, pkg string, kind fmt.Stringer, event slog.LogValuer) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		name := "belay." + pkg + "." + strings.ReplaceAll(kind.String(), " ", "_")
		span.AddEvent(name, trace.WithAttributes(attributes(nil, "belay", slog.AnyValue(event))...))
	}
	if o.logger == nil || !o.logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Any("", event)}
	if sc := span.SpanContext(); sc.IsValid() {
		attrs = append(attrs, slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	o.logger.LogAttrs(ctx, level, pkg+": "+kind.String(), attrs...)
}

// attributes appends what a value of a log says, under the names that it has there.
func attributes(to []attribute.KeyValue, name string, v slog.Value) []attribute.KeyValue {
	key := attribute.Key(name)
	switch v = v.Resolve(); v.Kind() {
	case slog.KindGroup:
		for _, a := range v.Group() {
			to = attributes(to, name+"."+a.Key, a.Value)
		}
		return to
	case slog.KindBool:
		return append(to, key.Bool(v.Bool()))
	case slog.KindInt64:
		return append(to, key.Int64(v.Int64()))
	case slog.KindUint64:
		return append(to, key.Int64(int64(v.Uint64())))
	case slog.KindFloat64:
		return append(to, key.Float64(v.Float64()))
	case slog.KindDuration:
		return append(to, key.Float64(v.Duration().Seconds()))
	}
	return append(to, key.String(v.String()))
}
