package otelbelay_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// traced returns an Observer, and what it has made of spans and metrics.
func traced() (*otelbelay.Observer, *tracetest.InMemoryExporter, *metric.ManualReader) {
	spans, reader := tracetest.NewInMemoryExporter(), metric.NewManualReader()
	return otelbelay.New(otelbelay.Config{
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(reader)),
		TracerProvider: trace.NewTracerProvider(trace.WithSyncer(spans)),
		Propagator:     propagation.TraceContext{},
	}), spans, reader
}

// text is what a span says, in an order of its own.
func text(s tracetest.SpanStub) string {
	words := emit(s.Attributes)
	if s.Status.Code != codes.Unset {
		words = append(words, "status="+s.Status.Code.String())
	}
	return s.SpanKind.String() + " " + s.Name + ": " + strings.Join(words, " ")
}

func emit(attrs []attribute.KeyValue) (words []string) {
	for _, a := range attrs {
		words = append(words, string(a.Key)+"="+a.Value.String())
	}
	slices.Sort(words)
	return words
}

func texts(spans tracetest.SpanStubs) (all []string) {
	for _, s := range spans {
		all = append(all, text(s))
	}
	return all
}

func TestTransportContract(t *testing.T) {
	for name, o := range map[string]*otelbelay.Observer{
		"without":    nil,
		"untraced":   otelbelay.New(otelbelay.Config{}),
		"propagates": otelbelay.New(otelbelay.Config{TracerProvider: trace.NewTracerProvider(), Propagator: propagation.TraceContext{}}),
	} {
		t.Run(name, func(t *testing.T) {
			contract.Run(t, contract.Traits{}, func(base http.RoundTripper) http.RoundTripper {
				return &otelbelay.Transport{Observer: o, Base: base}
			})
		})
	}
}

// One call of a gateway, which takes two attempts: one span each, below that of the
// caller, with what the layers above know.
func TestTransportKnowsTheLayersAbove(t *testing.T) {
	o, spans, reader := traced()
	var parents []string
	var requests atomic.Int32
	base := roundTrip(func(req *http.Request) (*http.Response, error) {
		parents = append(parents, req.Header.Get("Traceparent"))
		if requests.Add(1) == 1 {
			return answers(503).RoundTrip(req)
		}
		return answers(200).RoundTrip(req)
	})
	instances, err := loadbalance.Hosts("http://a.test:8080", "http://b.test:8080")
	if err != nil {
		t.Fatal(err)
	}
	api, err := gateway.New(gateway.Config{BaseURL: "http://shop.test", Transport: &loadbalance.Spread{Base: &retry.Transport{
		Config: retry.Config{Schedule: retry.Constant(0)},
		Base:   &loadbalance.Transport{Balancer: instances, Base: &otelbelay.Transport{Observer: o, Base: base}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := gateway.NewEndpoint[struct {
		ID    string `path:"id"`
		Token string `query:"token"`
	}, struct{}](api, "GET /products/{id}", gateway.EndpointConfig{})
	call := otelbelay.Wrap(o, "page", endpoint.Call)
	if _, err := call(t.Context(), struct {
		ID    string `path:"id"`
		Token string `query:"token"`
	}{"tea", "s3cr3t"}); err != nil {
		t.Fatal(err)
	}

	stubs := spans.GetSpans()
	got := strings.Join(texts(stubs), "\n")
	first, second := "a.test", "b.test" // or the other way round
	if strings.Contains(strings.SplitN(got, "\n", 2)[0], second) {
		first, second = second, first
	}
	want := fmt.Sprintf(`client GET /products/{id}: error.type=503 http.request.method=GET http.response.status_code=503 server.address=%[1]s server.port=8080 url.full=http://%[1]s:8080/products/tea url.template=/products/{id} status=Error
client GET /products/{id}: http.request.method=GET http.request.resend_count=1 http.response.status_code=200 server.address=%[2]s server.port=8080 url.full=http://%[2]s:8080/products/tea url.template=/products/{id}
internal page: `, first, second)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, s := range stubs[:2] {
		if s.Parent.SpanID() != stubs[2].SpanContext.SpanID() {
			t.Errorf("span %d is not below the caller's", i)
		}
		if id := s.SpanContext.SpanID().String(); !strings.Contains(parents[i], id) {
			t.Errorf("the server of attempt %d was told %q, want the span %s", i, parents[i], id)
		}
	}
	for _, m := range collect(reader) {
		if m.Name != "http.client.request.duration" {
			continue
		}
		for _, p := range points(m) {
			if p.attrs.HasValue("url.full") || p.attrs.HasValue("http.request.resend_count") || !p.attrs.HasValue("url.template") {
				t.Errorf("the histogram has the attributes %v", p.attrs.ToSlice())
			}
		}
	}
}

func TestTransportSaysHowItEnded(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	late, stop := context.WithTimeout(context.Background(), -time.Second)
	defer stop()
	fails := func(err error) http.RoundTripper {
		return roundTrip(func(*http.Request) (*http.Response, error) { return nil, err })
	}
	for _, tt := range []struct {
		method, url string
		ctx         context.Context
		base        http.RoundTripper
		want        string
	}{
		{"GET", "http://a.test/x?token=s3cr3t", nil, answers(200),
			"client GET: http.request.method=GET http.response.status_code=200 server.address=a.test server.port=80 url.full=http://a.test/x"},
		{"", "https://user:s3cr3t@a.test/x", nil, answers(404),
			"client GET: error.type=404 http.request.method=GET http.response.status_code=404 server.address=a.test server.port=443 url.full=https://a.test/x status=Error"},
		{"PURGE", "http://[::1]:80/a%2Fb", nil, answers(200),
			"client _OTHER: http.request.method=_OTHER http.request.method_original=PURGE http.response.status_code=200 server.address=::1 server.port=80 url.full=http://[::1]:80/a%2Fb"},
		{"PUT", "http://a.test", nil, fails(&net.OpError{Op: "dial", Err: errors.New("refused")}),
			"client PUT: error.type=*net.OpError http.request.method=PUT server.address=a.test server.port=80 url.full=http://a.test status=Error"},
		{"GET", "http://a.test", late, fails(context.DeadlineExceeded),
			"client GET: error.type=timeout http.request.method=GET server.address=a.test server.port=80 url.full=http://a.test status=Error"},
		{"GET", "http://a.test", cancelled, fails(context.Canceled),
			"client GET: error.type=canceled http.request.method=GET server.address=a.test server.port=80 url.full=http://a.test"},
	} {
		o, spans, _ := traced()
		if tt.ctx == nil {
			tt.ctx = t.Context()
		}
		req, err := http.NewRequestWithContext(tt.ctx, tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Method = tt.method
		resp, err := (&otelbelay.Transport{Observer: o, Base: tt.base}).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if diff := cmp.Diff([]string{tt.want}, texts(spans.GetSpans())); diff != "" {
			t.Errorf("%s %s: %s", tt.method, tt.url, diff)
		}
	}
}

// A hedge is told apart from a retry.
func TestTransportKnowsHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, spans, _ := traced()
		slow := roundTrip(func(req *http.Request) (*http.Response, error) {
			if _, again := retry.AttemptFrom(req.Context()); !again {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return answers(200).RoundTrip(req)
		})
		rt := &retry.Transport{
			Hedger: retry.NewHedger(retry.HedgeConfig{Delay: time.Millisecond}),
			Base:   &otelbelay.Transport{Observer: o, Base: slow},
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		want := []string{
			"client GET: belay.hedge=true http.request.method=GET http.request.resend_count=1 http.response.status_code=200 server.address=a.test server.port=80 url.full=http://a.test/",
			"client GET: error.type=canceled http.request.method=GET server.address=a.test server.port=80 url.full=http://a.test/",
		}
		if diff := cmp.Diff(want, texts(spans.GetSpans())); diff != "" {
			t.Error(diff)
		}
	})
}

// A panic of fn, or of a base, passes through, and ends the span.
func TestSpansEndWithPanics(t *testing.T) {
	o, spans, _ := traced()
	call := otelbelay.Wrap(o, "part", func(ctx context.Context, _ int) (int, error) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.test/", nil)
		(&otelbelay.Transport{Observer: o, Base: roundTrip(func(*http.Request) (*http.Response, error) { panic("oops") })}).RoundTrip(req)
		return 0, nil
	})
	func() {
		defer func() {
			if v := recover(); v != "oops" {
				t.Errorf("the panic has become %v", v)
			}
		}()
		call(t.Context(), 1)
	}()
	if n := len(spans.GetSpans()); n != 2 {
		t.Errorf("%d spans have ended, want 2", n)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		err    error
		cancel bool
		want   string
	}{
		{nil, false, "internal part: "},
		{errors.New("down"), false, "internal part: status=Error"},
		{errors.New("down"), true, "internal part: "},
	} {
		o, spans, _ := traced()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		call := otelbelay.Wrap(o, "part", func(context.Context, int) (int, error) {
			if tt.cancel {
				cancel()
			}
			return 7, tt.err
		})
		if v, err := call(ctx, 1); v != 7 || err != tt.err {
			t.Errorf("returned %v, %v", v, err)
		}
		if got := texts(spans.GetSpans()); len(got) != 1 || got[0] != tt.want {
			t.Errorf("spans %q, want %q", got, tt.want)
		}
	}
}
