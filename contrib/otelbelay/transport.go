package otelbelay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/retry"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracing is what an Observer needs for spans of its own.
type tracing struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   metric.Float64Histogram
}

func (t *tracing) prepare(cfg Config, m metric.Meter) {
	t.tracer = cfg.TracerProvider.Tracer(scope)
	t.propagator = cfg.Propagator
	var err error
	t.duration, err = m.Float64Histogram("http.client.request.duration", metric.WithUnit("s"),
		metric.WithDescription("How long did an instance take to answer?"),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		otel.Handle(err)
	}
}

// Transport is an [http.RoundTripper] for the bottom of a stack, where each request is
// an attempt to one instance. Each gets a client span, which is told to the server, and
// counts in the histogram http.client.request.duration, as the semantic conventions
// for HTTP say. Both end with the headers of the response.
//
// What the layers above know is in the attributes: http.request.resend_count and
// belay.hedge come from package retry, url.template from package gateway, and
// server.address is the instance that package loadbalance has picked. url.full has
// neither userinfo nor a query, which may hold secrets. Its path stays in the span.
//
// Its fields must not change after the first request. It is safe for concurrent use.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
	// Observer makes the spans. nil: none, and requests go to Base as they are.
	Observer *Observer
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Observer == nil || req.URL == nil {
		return t.base().RoundTrip(req)
	}
	o := &t.Observer.tracing
	name, common := describe(req)
	ctx, span := o.tracer.Start(req.Context(), name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(common...), trace.WithAttributes(attempt(req)...))
	defer span.End()
	out := req.WithContext(ctx)
	if len(o.propagator.Fields()) > 0 {
		if out.Header = req.Header.Clone(); out.Header == nil {
			out.Header = http.Header{}
		}
		o.propagator.Inject(ctx, propagation.HeaderCarrier(out.Header))
	}

	begin := time.Now()
	resp, err := t.base().RoundTrip(out)
	elapsed := time.Since(begin)
	if resp != nil && resp.Request == out {
		resp.Request = req
	}
	result := came(ctx, resp, err)
	span.SetAttributes(result...)
	if last := result[len(result)-1]; last.Key == errorType && last.Value.AsString() != canceled {
		span.SetStatus(codes.Error, "")
	}
	o.duration.Record(ctx, elapsed.Seconds(), metric.WithAttributes(append(common, result...)...))
	return resp, err
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// The attributes of the semantic conventions for HTTP, version 1.43.
const (
	methodKey      attribute.Key = "http.request.method"
	methodOriginal attribute.Key = "http.request.method_original"
	resendCount    attribute.Key = "http.request.resend_count"
	statusCode     attribute.Key = "http.response.status_code"
	errorType      attribute.Key = "error.type"
	serverAddress  attribute.Key = "server.address"
	serverPort     attribute.Key = "server.port"
	urlFull        attribute.Key = "url.full"
	urlTemplate    attribute.Key = "url.template"
	hedgeKey       attribute.Key = "belay.hedge" // which they do not know
)

// describe returns the name of a span, and what is known of a request that has few
// values.
func describe(req *http.Request) (name string, attrs []attribute.KeyValue) {
	port, _ := strconv.Atoi(req.URL.Port())
	if port == 0 {
		port = map[string]int{"http": 80, "https": 443}[req.URL.Scheme]
	}
	name = method(req)
	attrs = append(make([]attribute.KeyValue, 0, 8), methodKey.String(name), serverAddress.String(req.URL.Hostname()), serverPort.Int(port))
	endpoint, ok := gateway.EndpointFrom(req.Context())
	if !ok {
		return name, attrs
	}
	if template, ok := strings.CutPrefix(endpoint, name+" "); ok { // it is a pattern
		return endpoint, append(attrs, urlTemplate.String(template))
	}
	return name + " " + endpoint, append(attrs, endpointKey.String(endpoint))
}

// attempt returns what is true of this one request only.
func attempt(req *http.Request) []attribute.KeyValue {
	full := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawPath: req.URL.RawPath}
	attrs := []attribute.KeyValue{urlFull.String(full.String())}
	if m := method(req); m == other {
		attrs = append(attrs, methodOriginal.String(req.Method))
	}
	if a, ok := retry.AttemptFrom(req.Context()); ok {
		attrs = append(attrs, resendCount.Int(a.Number-1))
		if a.Hedge {
			attrs = append(attrs, hedgeKey.Bool(true))
		}
	}
	return attrs
}

const (
	other    = "_OTHER"
	canceled = "canceled" // by the caller, which is no failure
)

// method returns one of the methods that everybody knows.
func method(req *http.Request) string {
	switch req.Method {
	case "":
		return http.MethodGet
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace, "QUERY":
		return req.Method
	}
	return other
}

// came returns what a request came to.
func came(ctx context.Context, resp *http.Response, err error) []attribute.KeyValue {
	switch {
	case err == nil && resp != nil:
		attrs := []attribute.KeyValue{statusCode.Int(resp.StatusCode)}
		if resp.StatusCode >= 400 {
			attrs = append(attrs, errorType.String(strconv.Itoa(resp.StatusCode)))
		}
		return attrs
	case ctx.Err() == context.Canceled:
		return []attribute.KeyValue{errorType.String(canceled)}
	}
	if t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && t.Timeout() {
		return []attribute.KeyValue{errorType.String("timeout")}
	}
	return []attribute.KeyValue{errorType.String(fmt.Sprintf("%T", err))}
}
