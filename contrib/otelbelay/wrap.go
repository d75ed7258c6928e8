package otelbelay

import (
	"context"

	"go.opentelemetry.io/otel/codes"
)

// Wrap returns fn with a span around each call. The spans of what fn calls are below it.
// It fits where a function of a facade's part goes, of a retried operation, or of any
// other. An error of fn makes the span's status Error, unless it is the caller who has
// cancelled the call. A panic passes through, and ends the span.
func Wrap[In, T any](o *Observer, name string, fn func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	return func(ctx context.Context, in In) (T, error) {
		ctx, span := o.tracer.Start(ctx, name)
		defer span.End()
		out, err := fn(ctx, in)
		if err != nil && ctx.Err() != context.Canceled {
			span.SetStatus(codes.Error, err.Error())
		}
		return out, err
	}
}
