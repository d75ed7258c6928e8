// Cache: yesterday's forecast is better than none. Not worth it for answers that must be
// true now.

package outside

import (
	"context"
	"net/http"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

// Weather asks for forecasts. Close it in the end.
type Weather struct {
	// The layers, for those who watch them.
	Gateway *gateway.Gateway
	Cache   *httpcache.Cache
	Retry   *retry.Policy
	Breaker *breaker.Breaker
	Limiter *ratelimit.Limiter // whoever asks with low priority waits behind the others

	forecast *gateway.Endpoint[forecastRequest, Forecast]
}

type forecastRequest struct {
	Hut  domain.HutID `path:"hut"`
	Date domain.Date  `path:"date"`
}

// A Forecast is the weather to come at a hut.
type Forecast struct {
	Sky     string
	Celsius int
	Stale   bool `json:"-"` // the service is down: it is an older one
}

// NewWeather returns the service at url, which may be asked 50 times a second.
func NewWeather(url string, base http.RoundTripper) (*Weather, error) {
	w := &Weather{
		Cache:   httpcache.New(httpcache.Config{Name: "weather"}),
		Retry:   retry.New(retry.Config{Name: "weather", AttemptTimeout: 700 * time.Millisecond}),
		Breaker: breaker.New(breaker.Config{Name: "weather"}),
		Limiter: ratelimit.New(ratelimit.Config{Name: "weather", Rate: 50, Burst: 20}),
	}
	g, err := gateway.New(gateway.Config{
		Name: "weather", BaseURL: url, Timeout: 4 * time.Second,
		Transport: &httpcache.Transport{Cache: w.Cache, Base: &retry.Transport{
			Policy: w.Retry,
			Base:   &breaker.Transport{Breaker: w.Breaker, Base: &ratelimit.Transport{Limiter: w.Limiter, Base: base}},
		}},
	})
	if err != nil {
		return nil, err
	}
	w.Gateway = g
	w.forecast = gateway.NewEndpoint[forecastRequest, Forecast](g, "GET /forecasts/{hut}/{date}", gateway.EndpointConfig{})
	return w, nil
}

// Forecast returns the newest forecast that can be had: a stale one if the service is
// down.
func (w *Weather) Forecast(ctx context.Context, hut domain.HutID, date domain.Date) (Forecast, error) {
	r, err := w.forecast.CallResponse(ctx, forecastRequest{hut, date})
	if status, ok := httpcache.StatusOf(r.Header); ok {
		r.Value.Stale = status.Hit && status.TTL < 0
	}
	return r.Value, err
}

// Close ends what the cache does in the background.
func (w *Weather) Close() error { return w.Cache.Close() }
