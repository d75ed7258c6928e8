package contract_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

// Transports that pass one by one must pass as a stack too.
func TestStack(t *testing.T) {
	contract.Run(t, contract.Traits{Repeats: true, Refuses: true, Watches: true}, func(base http.RoundTripper) http.RoundTripper {
		return &retry.Transport{Base: &breaker.Transport{
			// The cases that fail would open it, tried three times as they are.
			Config: breaker.Config{AllFailed: -1, Consecutive: -1, MinCalls: 1000},
			Base:   &ratelimit.Transport{Base: base},
		}}
	})
}

// What a layer at the bottom of the whole stack adds to requests, such as credentials of
// the user in the context, is seen by the cache at its top: nobody gets what is another's.
func TestStackHidesNoCredentials(t *testing.T) {
	type user struct{}
	source, err := loadbalance.URLs("http://one.test", "http://two.test", "http://10.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	origin := roundTripper(func(r *http.Request) (*http.Response, error) {
		signed := r.Clone(r.Context())
		signed.Header.Set("Authorization", r.Context().Value(user{}).(string))
		return &http.Response{
			StatusCode: 200,
			Header:     http.Header{"Cache-Control": {"max-age=60"}},
			Body:       io.NopCloser(strings.NewReader(signed.Header.Get("Authorization"))),
			Request:    signed,
		}, nil
	})
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	stack := &httpcache.Transport{Cache: cache, Base: &loadbalance.Spread{Base: &retry.Transport{Base: &breaker.Transport{
		Base: &ratelimit.Transport{Base: &loadbalance.Transport{Balancer: loadbalance.New(source, loadbalance.Config{}), Base: origin}},
	}}}}
	for range 3 {
		for _, name := range []string{"Alice", "Bob"} {
			req, err := http.NewRequestWithContext(context.WithValue(t.Context(), user{}, name), "GET", "http://service.test/me", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := stack.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != name || err != nil {
				t.Fatalf("%s got what is %s's: %v", name, got, err)
			}
		}
	}
}
