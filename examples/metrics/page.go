package main

import (
	"context"
	"net/http"
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
)

// A page is built from calls to a shop, through all layers.
type page struct {
	*facade.Facade[string, string]
	shop  *shop
	cache *httpcache.Cache
}

type product struct {
	Name string `json:"name"`
}

type review struct {
	Stars int `json:"stars"`
}

func newPage(o *otelbelay.Observer, s *shop) (*page, error) {
	source, err := loadbalance.URLs("http://a.shop.example", "http://b.shop.example")
	if err != nil {
		return nil, err
	}
	p := &page{shop: s, cache: httpcache.New(httpcache.Config{Observe: o.HTTPCache})}
	client := &http.Client{Transport: &httpcache.Transport{Cache: p.cache, Base: &loadbalance.Spread{Base: &retry.Transport{
		Balanced: true,
		Config:   retry.Config{Schedule: retry.Constant(50 * time.Millisecond), Observe: o.Retry},
		Base: &breaker.Transport{
			Config: breaker.Config{Observe: o.Breaker},
			Base: &ratelimit.Transport{
				Limiter: ratelimit.New(ratelimit.Config{Rate: 50, Burst: 10, Observe: o.RateLimit}),
				Base: &loadbalance.Transport{
					Balancer: loadbalance.New(source, loadbalance.Config{Policy: inTurn(), SlowStart: -1, Observe: o.LoadBalance}),
					Base:     &otelbelay.Transport{Observer: o, Base: s},
				},
			},
		},
	}}}}
	api, err := gateway.New(gateway.Config{BaseURL: "http://shop.example", Transport: client.Transport, Observe: o.Gateway})
	if err != nil {
		return nil, err
	}
	products := gateway.NewEndpoint[string, product](api, "GET /products/{id}", gateway.EndpointConfig{})
	reviews := gateway.NewEndpoint[string, []review](api, "GET /products/{id}/reviews", gateway.EndpointConfig{})

	// One part after the other, so that a run can be repeated exactly.
	plan := facade.New[string](facade.Config{Limit: 1, Observe: o.Facade})
	item := facade.Step(plan, "product", otelbelay.Wrap(o, "product", products.Call))
	facade.Step(plan, "reviews", otelbelay.Wrap(o, "reviews", reviews.Call)).Optional()
	p.Facade, err = facade.Build(plan, func(v *facade.Values) (string, error) { return item.Value(v).Name, nil })
	if err != nil {
		return nil, err
	}
	o.Watch("shop", client, api, p.Facade)
	return p, nil
}

// inTurn is round robin that begins with the first endpoint and knows no chance, so that a
// run can be repeated exactly.
func inTurn() loadbalance.Policy {
	var n atomic.Uint64
	return loadbalance.PolicyFunc(func(v loadbalance.View) int { return v.At(n.Add(1)) })
}

func (p *page) close() { p.cache.Close() }

// script calls the page while the shop fails: first one instance, then both, and then
// none.
func (p *page) script(ctx context.Context) {
	p.load(ctx, "", 10*time.Second)
	p.load(ctx, "b", 10*time.Second)
	p.load(ctx, "", 30*time.Second)
	p.load(ctx, "ab", 10*time.Second)
	pause(ctx, time.Minute) // until the breaker tries again, whenever that is
	p.load(ctx, "", 20*time.Second)
}

// load calls the page five times a second.
func (p *page) load(ctx context.Context, down string, d time.Duration) {
	p.shop.fail(down)
	for range int(d / (200 * time.Millisecond)) {
		p.Call(ctx, "tea") // with an error when the shop is down
		pause(ctx, 200*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
