package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

const (
	scrape = 30 * time.Second
	length = time.Hour
)

// When each alert fires, and when it does not. Series are in the notation of promtool: a
// first value, and what each scrape, every 30 s, adds to it.
func TestAlertsFire(t *testing.T) {
	const shop = `job="web", belay_name="shop"`
	gateway := func(calls, failed, refused string) []string {
		const of = shop + `, belay_endpoint="GET /x"`
		return []string{
			`belay_gateway_calls_total{` + of + `} ` + calls,
			`belay_gateway_failed_total{` + of + `} ` + failed,
			`belay_gateway_refused_total{` + of + `} ` + refused,
		}
	}
	limit := func(calls, refused string) []string {
		return []string{`belay_ratelimit_calls_total{` + shop + `} ` + calls, `belay_ratelimit_refused_total{` + shop + `} ` + refused}
	}
	const (
		open   = `belay_breaker_state{job="web", belay_name="shop", belay_key="http://a", belay_state="open"} `
		panics = `belay_loadbalance_panic{job="web", belay_name="shop"} `
		budget = `belay_retry_refused_total{job="web", belay_name="shop", belay_key="a"} `
	)
	for _, tt := range []struct {
		name   string
		series []string
		fires  string        // the alert; "": none
		after  time.Duration // from the beginning on
		until  time.Duration
	}{
		{"all is well", slices.Concat(gateway("0+100x120", "0x120", "0x120"), limit("0+100x120", "0x120"), []string{open + "0x120", panics + "0x120", budget + "0x120"}), "", 0, 0},
		{"nobody calls", slices.Concat(gateway("5x120", "1x120", "1x120"), limit("5x120", "1x120"), []string{budget + "7x120"}), "", 0, 0},

		{"one call in a hundred fails", gateway("0+100x120", "0+1x120", "0x120"), "", 0, 0},
		{"one call in ten fails", gateway("0+100x120", "0+10x120", "0x120"), "BelayCallsFail", 5*time.Minute + scrape, length},
		{"all are refused", gateway("0x120", "0x120", "0+10x120"), "BelayCallsFail", 5*time.Minute + scrape, length},
		{"they fail for ten minutes", gateway("0+100x120", "0x20 0+50x20 1000x80", "0x120"), "BelayCallsFail", 16*time.Minute + scrape, 24*time.Minute + scrape},
		{"they fail for a minute", gateway("0+100x120", "0x20 0+8x2 16x98", "0x120"), "", 0, 0},

		{"few endpoints are healthy", []string{panics + "1x120"}, "BelayFewHealthyEndpoints", 2 * time.Minute, length},
		{"for a minute", []string{panics + "0x20 1x1 0x97"}, "", 0, 0},

		{"a breaker stays open", []string{open + "0x9 1x110"}, "BelayBackendDown", 10 * time.Minute, length},
		{"a breaker opens again and again", []string{open + "1 0 1 0 0 1 0 1 0 1 0 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1"}, "BelayBackendDown", 5 * time.Minute, 15*time.Minute + scrape},
		{"a breaker opens once", []string{open + "0x19 1x3 0x97"}, "", 0, 0},

		{"the budget is empty", []string{budget + "0+1x120"}, "BelayRetryBudgetEmpty", 10*time.Minute + scrape, length},
		{"the budget was empty once", []string{budget + "0x19 5x100"}, "", 0, 0},

		{"a limit refuses a tenth", limit("0+90x120", "0+10x120"), "BelayLimitTooLow", 10*time.Minute + scrape, length},
		{"a limit refuses a thousandth", limit("0+999x120", "0+1x120"), "", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := load(t, tt.series)
			for _, r := range alerts(t) {
				times := firing(t, data, r.Expr, time.Duration(r.For))
				switch {
				case r.Alert != tt.fires:
					if len(times) > 0 {
						t.Errorf("%s fires from %v on", r.Alert, times[0])
					}
				case len(times) == 0:
					t.Errorf("%s does not fire", r.Alert)
				case times[0] != tt.after || times[len(times)-1] != tt.until:
					t.Errorf("%s fires from %v to %v, want %v to %v", r.Alert, times[0], times[len(times)-1], tt.after, tt.until)
				}
			}
		})
	}
}

// Queries of the dashboard have answers while something happens.
func TestQueriesAnswer(t *testing.T) {
	var series []string
	for name, of := range exported(t) {
		var set strings.Builder
		for _, label := range slices.Compact(slices.Sorted(slices.Values(of))) {
			value := map[string]string{"le": "+Inf", "belay_name": "shop", "belay_state": "open"}[label]
			fmt.Fprintf(&set, "%s=%q, ", label, value)
		}
		series = append(series, fmt.Sprintf("%s{%s} 0+1x120", name, set.String()))
	}
	series = append(series, `belay_breaker_state{belay_name="shop", belay_state="half-open"} 0x120`)
	data := load(t, series)
	for _, query := range queries(t) {
		if got := evaluate(t, data, query); len(got) == 0 {
			t.Errorf("%s has no answer", query)
		}
	}
}

// firing returns when an alert fires that is active for some time, from the beginning of
// data. It looks at one set of labels.
func firing(t *testing.T, data storage.Queryable, expr string, after time.Duration) (at []time.Duration) {
	t.Helper()
	result := evaluate(t, data, expr)
	if len(result) > 1 {
		t.Fatalf("%s has %d results", expr, len(result))
	}
	if len(result) == 0 {
		return nil
	}
	var since, last time.Duration = -1, -1
	for _, p := range result[0].Floats {
		now := time.Duration(p.T) * time.Millisecond
		if last < 0 || now != last+scrape {
			since = now
		}
		if last = now; now-since >= after {
			at = append(at, now)
		}
	}
	return at
}

func evaluate(t *testing.T, data storage.Queryable, expr string) promql.Matrix {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: promQL})
	defer engine.Close()
	query, err := engine.NewRangeQuery(context.Background(), data, nil, expr, time.Unix(0, 0), time.Unix(0, 0).Add(length), scrape)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	result := query.Exec(context.Background())
	matrix, err := result.Matrix()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Clone(matrix)
}

// load returns series as a storage has them.
func load(t *testing.T, all []string) storage.Queryable {
	t.Helper()
	var series []storage.Series
	for _, text := range all {
		set, values, err := promQL.ParseSeriesDesc(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		one := promql.Series{Metric: set}
		for i, v := range values {
			if !v.Omitted {
				one.Floats = append(one.Floats, promql.FPoint{T: int64(i) * scrape.Milliseconds(), F: v.Value})
			}
		}
		series = append(series, promql.NewStorageSeries(one))
	}
	return &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
		SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
			return &selection{all: slices.DeleteFunc(slices.Clone(series), func(s storage.Series) bool {
				return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Labels().Get(m.Name)) })
			})}
		},
	}}
}

// A selection is a list of series, of which all[0] is the next.
type selection struct {
	all     []storage.Series
	current storage.Series
}

func (s *selection) Next() bool {
	if len(s.all) == 0 {
		return false
	}
	s.current, s.all = s.all[0], s.all[1:]
	return true
}

func (s *selection) At() storage.Series                { return s.current }
func (s *selection) Err() error                        { return nil }
func (s *selection) Warnings() annotations.Annotations { return nil }
