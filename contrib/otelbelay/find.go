package otelbelay

import (
	"cmp"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"go.opentelemetry.io/otel/attribute"
)

// definitions are those of all metrics, each once.
func definitions() []definition {
	var all []definition
	all = define(all, breakerMeasures)
	all = define(all, setMeasures)
	all = define(all, retryMeasures)
	all = define(all, budgetMeasures)
	all = define(all, hedgeMeasures)
	all = define(all, limiterMeasures)
	all = define(all, keyedMeasures)
	all = define(all, sharedMeasures)
	all = define(all, bulkheadMeasures)
	all = define(all, balancerMeasures)
	all = define(all, endpointMeasures)
	all = define(all, gatewayMeasures)
	all = define(all, cacheMeasures)
	all = define(all, facadeMeasures)
	return define(all, partMeasures)
}

func define[S any](to []definition, all []measure[S]) []definition {
	for _, m := range all {
		if !slices.Contains(to, m.definition) {
			to = append(to, m.definition)
		}
	}
	return to
}

// A finder collects what there is to watch. Transports are followed to the bottom of
// their stack.
type finder struct {
	name  string // of what has none
	found []*object
}

// must panics if there is nothing to watch in x.
func (f *finder) must(x any) {
	n := len(f.found)
	if f.find(x); len(f.found) == n {
		panic(fmt.Sprintf("otelbelay: Watch(%q): there is nothing to watch in a %T", f.name, x))
	}
}

func (f *finder) find(x any) {
	if v := reflect.ValueOf(x); v.Kind() == reflect.Pointer && v.IsNil() {
		return // a field that was left empty
	}
	switch x := x.(type) {
	case *http.Client:
		f.find(x.Transport)
	case *breaker.Transport:
		if x.Breaker != nil {
			f.find(x.Breaker)
		} else if x.For == nil {
			keyed(f, x, x.All(), (*breaker.Breaker).Stats, breakerMeasures)
		}
		f.find(x.Base)
	case *retry.Transport:
		switch {
		case x.Policy != nil:
			f.find(x.Policy)
		case x.Config.Budget != nil: // the hosts share it
			f.find(x.Config.Budget)
			keyed(f, x, x.All(), (*retry.Policy).Stats, retryMeasures)
		default:
			keyed(f, x, x.All(), (*retry.Policy).Stats, retryMeasures)
			keyed(f, [2]any{x, "budgets"}, x.All(), budgetStats, budgetMeasures)
		}
		f.find(x.Hedger)
		f.find(x.Base)
	case *ratelimit.Transport:
		f.find(x.Concurrency)
		f.find(x.Limiter)
		f.find(x.Base)
	case *loadbalance.Transport:
		f.find(x.Balancer)
		f.find(x.Base)
	case *loadbalance.Spread:
		f.find(x.Base)
	case *httpcache.Transport:
		f.find(x.Cache)
		f.find(x.Base)
	case *Transport:
		f.find(x.Base)
	case iter.Seq2[string, *breaker.Breaker]:
		keyed(f, new(int), x, (*breaker.Breaker).Stats, breakerMeasures)
	case iter.Seq2[string, *retry.Policy]:
		keyed(f, new(int), x, (*retry.Policy).Stats, retryMeasures)
	default:
		f.object(x)
	}
}

func (f *finder) object(x any) {
	switch x := x.(type) {
	case *breaker.Breaker:
		watch(f, x, x.Stats, func(s *breaker.Stats) string { return s.Name }, breakerMeasures)
	case interface{ Stats() breaker.SetStats }:
		watch(f, x, x.Stats, func(s *breaker.SetStats) string { return s.Name }, setMeasures)
	case interface {
		All() iter.Seq2[string, *breaker.Breaker]
	}:
		keyed(f, x, x.All(), (*breaker.Breaker).Stats, breakerMeasures)
	case *retry.Policy:
		watch(f, x, x.Stats, func(s *retry.Stats) string { return s.Name }, retryMeasures)
		f.find(x.Budget())
	case *retry.Budget:
		if x != retry.NoBudget {
			watch(f, x, x.Stats, func(s *retry.BudgetStats) string { return s.Name }, budgetMeasures)
		}
	case *retry.Hedger:
		watch(f, x, x.Stats, func(s *retry.HedgeStats) string { return s.Name }, hedgeMeasures)
	case *ratelimit.Limiter:
		watch(f, x, x.Stats, func(s *ratelimit.Stats) string { return s.Name }, limiterMeasures)
	case interface{ Stats() ratelimit.KeyedStats }:
		watch(f, x, x.Stats, func(s *ratelimit.KeyedStats) string { return s.Name }, keyedMeasures)
	case *ratelimit.Bulkhead:
		watch(f, x, x.Stats, func(s *ratelimit.BulkheadStats) string { return s.Name }, bulkheadMeasures)
	case *httpcache.Cache:
		watch(f, x, x.Stats, cacheName, cacheMeasures)
	case *ratelimit.Shared:
		watch(f, x, x.Stats, func(s *ratelimit.SharedStats) string { return s.Name }, sharedMeasures)
	case interface{ Stats() loadbalance.Stats }:
		f.add(x, func(s *scrape) {
			stats := x.Stats()
			name := f.named(stats.Name)
			report(s, balancerMeasures, &stats, name)
			for _, e := range atMost(MaxKeys, stats.Endpoints, func(e loadbalance.EndpointStats) string { return e.Key }) {
				report(s, endpointMeasures, &e, name, keyKey.String(e.Key))
			}
		})
	case *gateway.Gateway:
		f.add(x, func(s *scrape) {
			stats := x.Stats()
			name := f.named(stats.Name)
			for _, e := range stats.Endpoints {
				report(s, gatewayMeasures, e, name, endpointKey.String(e.Endpoint))
			}
		})
	case interface{ Stats() facade.Stats }:
		f.add(x, func(s *scrape) {
			stats := x.Stats()
			name := f.named(stats.Name)
			report(s, facadeMeasures, stats, name)
			for _, part := range stats.Parts {
				report(s, partMeasures, part, name, partKey.String(part.Part))
			}
		})
	}
}

func watch[S any](f *finder, x any, stats func() S, own func(*S) string, all []measure[S]) {
	f.add(x, func(s *scrape) {
		v := stats()
		report(s, all, v, f.named(own(&v)))
	})
}

func (f *finder) add(x any, report func(*scrape)) {
	f.found = append(f.found, &object{itself: x, report: report})
}

// named is the attribute with the name of an object.
func (f *finder) named(own string) attribute.KeyValue { return nameKey.String(cmp.Or(own, f.name)) }

// MaxKeys is the number of keys of one object that have numbers of their own. It is how
// many hosts a Transport keeps.
const MaxKeys = 1024

// keyed watches objects by their keys.
func keyed[T, S any](f *finder, itself any, all iter.Seq2[string, T], stats func(T) S, of []measure[S]) {
	type member struct {
		key string
		x   T
	}
	f.add(itself, func(s *scrape) {
		var members []member
		for key, x := range all {
			members = append(members, member{key, x})
		}
		for _, m := range atMost(MaxKeys, members, func(m member) string { return m.key }) {
			report(s, of, stats(m.x), nameKey.String(f.name), keyKey.String(m.key))
		}
	})
}

func budgetStats(p *retry.Policy) retry.BudgetStats { return p.Budget().Stats() }

// cacheName is "" for a cache that nobody has named.
func cacheName(s *httpcache.Stats) string {
	if s.Name == "belay" {
		return ""
	}
	return s.Name
}

// atMost returns all, or the n that are first by their keys: the same ones each time.
func atMost[T any](n int, all []T, key func(T) string) []T {
	if len(all) <= n {
		return all
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return all[:n]
}
