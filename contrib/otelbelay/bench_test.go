package otelbelay_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// What a scrape costs. No call waits for it.
func BenchmarkScrape(b *testing.B) {
	keyed := ratelimit.NewKeyed(ratelimit.KeyedConfig[int]{Rate: 0.001})
	set := breaker.NewSet(breaker.SetConfig[string]{MaxKeys: 10_000})
	endpoints := make([]loadbalance.Endpoint[int], 1000)
	for i := range 10_000 {
		keyed.Allow(i)
		set.Get(strconv.Itoa(i))
	}
	for i := range endpoints {
		endpoints[i] = loadbalance.Endpoint[int]{Key: fmt.Sprintf("10.0.%d.%d:8080", i/256, i%256), Value: i}
	}
	balancer := loadbalance.New(loadbalance.Static(endpoints...), loadbalance.Config{})

	for _, bb := range []struct {
		name string
		x    any
	}{
		{"limiter with 10000 keys", keyed},
		{"10000 breakers", set},
		{"10000 breakers by key", set.All()}, // of which MaxKeys are shown
		{"1000 endpoints", balancer},
	} {
		b.Run(bb.name, func(b *testing.B) {
			reader := metric.NewManualReader()
			o := otelbelay.New(otelbelay.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader), metric.WithCardinalityLimit(-1))})
			o.Watch("bench", bb.x)
			var data metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				if err := reader.Collect(context.Background(), &data); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for _, m := range data.ScopeMetrics[0].Metrics {
				n += len(points(m))
			}
			b.ReportMetric(float64(n), "series")
		})
	}
}
