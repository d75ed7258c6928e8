package ratelimit_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/ratelimit"
)

func TestTransportContract(t *testing.T) {
	calls := &tally{}
	t.Cleanup(func() {
		if n := calls.underWay.Load(); n != 0 {
			t.Errorf("%d calls were not given back", n)
		}
	})
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
		// A limit of one's own, which is told how each request was answered.
		"Acquirer": func(base http.RoundTripper) http.RoundTripper {
			return &ratelimit.Transport{
				Base: base,
				Concurrency: acquirer(func(context.Context) (ratelimit.Permit, error) {
					calls.underWay.Add(1)
					return ratelimit.NewPermit(calls, 0), nil
				}),
				Classify: func(resp *http.Response, err error) ratelimit.Outcome {
					if resp.StatusCode == http.StatusTeapot || len(resp.Trailer.Get("Grpc-Status")) > 1 {
						return ratelimit.Failure
					}
					return ratelimit.Default
				},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			contract.Run(t, contract.Traits{Refuses: name == "Limiter" || name == "Concurrency"}, wrap)
		})
	}
}
