// Metrics is a program whose metrics Prometheus can scrape: pages of a shop, built of
// calls to a backend with two instances that fail by a script.
//
//	go run ./examples/metrics
//
// It serves them on http://127.0.0.1:9464/metrics. Beside it are the alert rules
// (alerts.yml), a dashboard for Grafana (dashboard.json), and WATCHING.md, which says
// what to watch, and when to wake somebody.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9464", "where to serve /metrics")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves metrics, and repeats the script, until ctx ends.
func run(ctx context.Context, addr string, out io.Writer) error {
	o, metrics, err := observe()
	if err != nil {
		return err
	}
	page, err := newPage(o, newShop())
	if err != nil {
		return err
	}
	defer page.close()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	go func() { // ends with ctx
		for ctx.Err() == nil {
			page.script(ctx)
		}
	}()
	fmt.Fprintf(out, "http://%s/metrics\n", ln.Addr())
	if err := server.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}

// observe returns an Observer, and the page with its metrics.
func observe() (*otelbelay.Observer, http.Handler, error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, nil, err
	}
	o := otelbelay.New(otelbelay.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	return o, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
}
