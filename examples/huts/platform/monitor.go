// Observability of a process: what its layers count, for whoever asks, and traces of what
// comes in and goes out. Not worth it for a program whose user sees what it does.

package platform

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A Monitor is where the layers of a process show what they do. It is no global, so that
// a test can run several processes in one. Close it in the end.
type Monitor struct {
	*otelbelay.Observer

	metrics  *metric.MeterProvider
	traces   *sdk.TracerProvider
	registry *prometheus.Registry
}

// NewMonitor returns a Monitor whose spans go to exporters. Without one there are traces
// all the same, in logs and in requests to others, but nobody keeps them.
func NewMonitor(spans ...sdk.SpanExporter) (*Monitor, error) {
	m := &Monitor{registry: prometheus.NewRegistry()}
	reader, err := exporter.New(exporter.WithRegisterer(m.registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, err
	}
	m.metrics = metric.NewMeterProvider(metric.WithReader(reader))
	var options []sdk.TracerProviderOption
	for _, e := range spans {
		options = append(options, sdk.WithBatcher(e))
	}
	m.traces = sdk.NewTracerProvider(options...)
	m.Observer = otelbelay.New(otelbelay.Config{MeterProvider: m.metrics, TracerProvider: m.traces, Propagator: propagator})
	return m, nil
}

// Metrics answers with all metrics, as Prometheus reads them. They name systems and
// endpoints, but nobody, and no secrets; a public entrance need not pass them on.
func (m *Monitor) Metrics() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Handler returns h with a span for each request, in the trace of whoever asks.
func (m *Monitor) Handler(h http.Handler) http.Handler {
	tracer := m.traces.Tracer("huts")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		s := &status{ResponseWriter: w, code: http.StatusOK}
		h.ServeHTTP(s, r.WithContext(ctx))
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.Int("http.response.status_code", s.code))
		if s.code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

// status remembers how a request was answered.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush sends what spans there are now.
func (m *Monitor) Flush(ctx context.Context) error { return m.traces.ForceFlush(ctx) }

// Close sends what spans there are.
func (m *Monitor) Close() error {
	return errors.Join(m.traces.Shutdown(context.Background()), m.metrics.Shutdown(context.Background()))
}

var propagator = propagation.TraceContext{}

const traceparent = "traceparent" // as in W3C Trace Context

// TraceOf names the trace and the span that ctx belongs to, in a form that can be stored
// or sent; "" if there is none.
func TraceOf(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagator.Inject(ctx, c)
	return c[traceparent]
}

// WithTrace returns a context that belongs to what [TraceOf] has named elsewhere.
func WithTrace(ctx context.Context, name string) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier{traceparent: name})
}

// TracedLog returns a handler that adds the trace to each record that belongs to one.
func TracedLog(h slog.Handler) slog.Handler { return tracedLog{h} }

type tracedLog struct{ slog.Handler }

func (t tracedLog) Handle(ctx context.Context, r slog.Record) error {
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", s.TraceID().String()), slog.String("span_id", s.SpanID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

func (t tracedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedLog{t.Handler.WithAttrs(attrs)}
}
func (t tracedLog) WithGroup(name string) slog.Handler { return tracedLog{t.Handler.WithGroup(name)} }
