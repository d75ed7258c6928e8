package otelbelay_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// collect returns the metrics in the order in which they were made.
func collect(r metric.Reader) (all []metricdata.Metrics) {
	var data metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &data); err != nil {
		log.Fatal(err)
	}
	for _, scope := range data.ScopeMetrics {
		all = append(all, scope.Metrics...)
	}
	return all
}

// A point is a value, and where it belongs.
type point struct {
	attrs attribute.Set
	value float64
}

func points(m metricdata.Metrics) (all []point) {
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			all = append(all, point{p.Attributes, float64(p.Value)})
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			all = append(all, point{p.Attributes, p.Value})
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			all = append(all, point{p.Attributes, float64(p.Count)})
		}
	}
	return all
}

// printMetrics prints the numbers that are not 0, without what differs from run to run:
// gauges, sizes and the addresses of servers.
func printMetrics(r metric.Reader) {
	var lines []string
	for _, m := range collect(r) {
		if _, ok := m.Data.(metricdata.Gauge[float64]); ok {
			continue
		}
		sums := map[string]float64{}
		for _, p := range points(m) {
			var words []string
			for _, a := range p.attrs.ToSlice() {
				if a.Key != "belay.key" && !strings.HasPrefix(string(a.Key), "server.") {
					words = append(words, a.Value.String())
				}
			}
			sums[strings.Join(words, ", ")] += p.value
		}
		for words, sum := range sums {
			if sum != 0 && m.Name != "belay.httpcache.size" {
				lines = append(lines, fmt.Sprintf("%s{%s} %v", m.Name, words, sum))
			}
		}
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}
