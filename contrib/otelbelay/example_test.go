package otelbelay_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"go.opentelemetry.io/otel/sdk/metric"
)

// A whole stack, a gateway with a cache, and a facade. The lines with an o are all that it
// takes to see what they do.
func Example() {
	reader := metric.NewManualReader() // in place of an exporter
	o := otelbelay.New(otelbelay.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})

	a, b := shop()
	defer a.Close()
	defer b.Close()
	source, err := loadbalance.URLs(a.URL, b.URL)
	if err != nil {
		log.Fatal(err)
	}
	instances := loadbalance.New(source, loadbalance.Config{
		Observe: o.LoadBalance,
	})
	client := &http.Client{
		Timeout: 2 * time.Second,
		Transport: &loadbalance.Spread{
			Base: &retry.Transport{
				Config:   retry.Config{Observe: o.Retry},
				Balanced: true,
				Base: &breaker.Transport{
					Config: breaker.Config{Observe: o.Breaker},
					Base: &ratelimit.Transport{
						Limiter: ratelimit.New(ratelimit.Config{Rate: 100, Burst: 20, Observe: o.RateLimit}),
						Base: &loadbalance.Transport{
							Balancer: instances,
							Base:     &otelbelay.Transport{Observer: o},
						},
					},
				},
			},
		},
	}
	cache := httpcache.New(httpcache.Config{Observe: o.HTTPCache})
	defer cache.Close()
	api, err := gateway.New(gateway.Config{
		BaseURL:   "http://shop.example",
		Transport: &httpcache.Transport{Cache: cache, Base: client.Transport},
		Observe:   o.Gateway,
	})
	if err != nil {
		log.Fatal(err)
	}
	product := gateway.NewEndpoint[string, Product](api, "GET /products/{id}", gateway.EndpointConfig{})
	reviews := gateway.NewEndpoint[string, []Review](api, "GET /products/{id}/reviews", gateway.EndpointConfig{})

	plan := facade.New[string](facade.Config{Observe: o.Facade})
	p := facade.Step(plan, "product", otelbelay.Wrap(o, "product", product.Call))
	r := facade.Step(plan, "reviews", otelbelay.Wrap(o, "reviews", reviews.Call)).Optional()
	page, err := facade.Build(plan, func(v *facade.Values) (string, error) {
		return fmt.Sprintf("%s, %d reviews", p.Value(v).Name, len(r.Value(v))), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	defer o.Watch("shop", client, cache, api, page)()

	for range 2 {
		fmt.Println(page.Call(context.Background(), "tea"))
	}
	printMetrics(reader)
	// Output:
	// Green tea, 0 reviews <nil>
	// Green tea, 0 reviews <nil>
	// belay.breaker.calls{shop} 4
	// belay.breaker.failed{shop} 1
	// belay.breaker.state{shop, closed} 1
	// belay.facade.calls{shop} 2
	// belay.facade.partial{shop} 2
	// belay.facade.parts{shop, product, ok} 2
	// belay.facade.parts{shop, reviews, failed} 2
	// belay.gateway.calls{GET /products/{id}, shop} 2
	// belay.gateway.calls{GET /products/{id}/reviews, shop} 2
	// belay.gateway.failed{GET /products/{id}/reviews, shop} 2
	// belay.httpcache.calls{shop, hit} 1
	// belay.httpcache.calls{shop, miss} 3
	// belay.httpcache.keys{shop} 1
	// belay.httpcache.partitions{shop} 1
	// belay.httpcache.stored{shop} 1
	// belay.loadbalance.calls{shop} 4
	// belay.loadbalance.failed{shop} 1
	// belay.loadbalance.state{shop, healthy} 2
	// belay.ratelimit.calls{shop} 4
	// belay.retry.budget.granted{shop} 1
	// belay.retry.recovered{shop} 1
	// belay.retry.retried{shop} 1
	// belay.retry.retries{shop} 1
	// http.client.request.duration{404, GET, 404, /products/{id}/reviews} 2
	// http.client.request.duration{503, GET, 503, /products/{id}} 1
	// http.client.request.duration{GET, 200, /products/{id}} 1
}

type Product struct{ Name string }

type Review struct{ Stars int }

// shop is two instances of a shop. It has no reviews, and is not ready for the first
// request.
func shop() (a, b *httptest.Server) {
	var requests atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/tea", func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, `{"Name": "Green tea"}`)
	})
	return httptest.NewServer(mux), httptest.NewServer(mux)
}
