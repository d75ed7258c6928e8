package ratelimit_test

import (
	"net/http"
	"testing"

	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/ratelimit"
)

func TestTransportContract(t *testing.T) {
	for name, wrap := range map[string]func(base http.RoundTripper) http.RoundTripper{
		"zero": func(base http.RoundTripper) http.RoundTripper {
			return &ratelimit.Transport{Base: base}
		},
		"Limiter": func(base http.RoundTripper) http.RoundTripper {
			hosts := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Rate: 1000, Burst: 100})
			return &ratelimit.Transport{
				Base:    base,
				Limiter: ratelimit.New(ratelimit.Config{Rate: 500, Burst: 50}),
				Wait:    func(r *http.Request) error { return hosts.Wait(r.Context(), r.URL.Host) },
			}
		},
		// As many places as one case makes calls at once that all must be under way.
		"Concurrency": func(base http.RoundTripper) http.RoundTripper {
			return &ratelimit.Transport{
				Base:        base,
				Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 300, Queue: 1000}),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			contract.Run(t, contract.Traits{Refuses: name != "zero"}, wrap)
		})
	}
}
