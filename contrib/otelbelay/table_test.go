package otelbelay_test

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answers is a base that answers all requests with a status.
func answers(status int) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {"application/json"}}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
	})
}

// zoo has one of everything that can be watched, each used once.
func zoo(tb testing.TB, o *otelbelay.Observer) []any {
	tb.Helper()
	source, err := loadbalance.URLs("http://a.test", "http://b.test")
	if err != nil {
		tb.Fatal(err)
	}
	cache := httpcache.New(httpcache.Config{})
	tb.Cleanup(func() { cache.Close() })
	budget := retry.NewBudget(retry.BudgetConfig{})
	stack := &httpcache.Transport{Cache: cache, Base: &loadbalance.Spread{Base: &retry.Transport{
		Hedger: retry.NewHedger(retry.HedgeConfig{Budget: budget}), Base: &breaker.Transport{Base: &ratelimit.Transport{
			Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 10}),
			Limiter:     ratelimit.New(ratelimit.Config{Rate: 1000}),
			Base: &loadbalance.Transport{Balancer: loadbalance.New(source, loadbalance.Config{}),
				Base: &otelbelay.Transport{Observer: o, Base: answers(200)}},
		}}}}}
	api, err := gateway.New(gateway.Config{BaseURL: "http://api.test", Transport: stack})
	if err != nil {
		tb.Fatal(err)
	}
	get := gateway.NewEndpoint[string, struct{}](api, "GET /items/{id}", gateway.EndpointConfig{})
	plan := facade.New[string](facade.Config{})
	facade.Step(plan, "item", get.Call)
	page, err := facade.Build(plan, func(*facade.Values) (int, error) { return 0, nil })
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := page.Call(tb.Context(), "1"); err != nil {
		tb.Fatal(err)
	}
	keyed := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Rate: 1})
	keyed.Allow("a")
	set := breaker.NewSet(breaker.SetConfig[string]{})
	breaker.Run(context.Background(), set.Get("a"), func(context.Context) error { return nil })
	shared := ratelimit.NewShared(ratelimit.SharedConfig{Rate: 1, Store: noStore{}})
	return []any{stack, budget, api, page, keyed, shared, set, set.All(), retry.New(retry.Config{}), breaker.New(breaker.Config{})}
}

// noStore is a store of limits that is down.
type noStore struct{}

func (noStore) Lease(context.Context, string, ratelimit.LeaseRequest) (ratelimit.Lease, error) {
	return ratelimit.Lease{}, errDown
}

// table returns the table of the package documentation.
func table(t *testing.T) string {
	f, err := parser.ParseFile(token.NewFileSet(), "otelbelay.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(f.Doc.Text(), "# Metrics\n")
	var rows strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "\t") {
			rows.WriteString(line)
		}
	}
	return rows.String()
}

// The table has every metric that is exported, and no other: name, unit, attributes,
// and the question that it answers.
func TestTable(t *testing.T) {
	reader := metric.NewManualReader()
	o := otelbelay.New(otelbelay.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	o.Watch("zoo", zoo(t, o)...)

	var want strings.Builder
	for _, m := range collect(reader) {
		seen := map[string]bool{}
		for _, p := range points(m) {
			for _, a := range p.attrs.ToSlice() {
				seen[strings.TrimPrefix(string(a.Key), "belay.")] = true
			}
		}
		attrs := []string{}
		for _, a := range []string{"name", "key", "endpoint", "part", "state", "status"} {
			if seen[a] {
				attrs = append(attrs, a)
			}
			delete(seen, a)
		}
		if m.Name == "http.client.request.duration" {
			attrs = []string{"see Transport"}
		} else if len(seen) > 0 {
			t.Errorf("%s has the attributes %v", m.Name, seen)
		}
		fmt.Fprintf(&want, "\t%-36s %-12s %-18s %s\n", m.Name, m.Unit, strings.Join(attrs, ", "), m.Description)
	}
	if got := table(t); got != want.String() {
		t.Errorf("%s\nWhat is exported is:\n%s", cmp.Diff(want.String(), got), want.String())
	}
}
