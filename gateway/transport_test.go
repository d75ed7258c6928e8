package gateway_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/contract"
)

// cacheClosing ends the cache when the kit closes the wrapper.
type cacheClosing struct {
	*gateway.Transport
}

func (c cacheClosing) Close() error { return c.Cache.Close() }

// cacheFresh lets the cache store every response of its base, but a 101.
type cacheFresh struct{ base http.RoundTripper }

func (f cacheFresh) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.base.RoundTrip(r)
	if resp != nil && resp.StatusCode >= 200 {
		resp.Header = maps.Clone(resp.Header)
		if resp.Header == nil {
			resp.Header = http.Header{}
		}
		resp.Header["Cache-Control"] = []string{"max-age=60"}
	}
	return resp, err
}

func (f cacheFresh) CloseIdleConnections() {
	if c, ok := f.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func TestTransportContract(t *testing.T) {
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"no cache": func(base http.RoundTripper) http.RoundTripper {
			return &gateway.Transport{Base: base}
		},
		"private": func(base http.RoundTripper) http.RoundTripper {
			return cacheClosing{&gateway.Transport{Base: base, Cache: gateway.NewCache(gateway.CacheConfig{})}}
		},
		"storing": func(base http.RoundTripper) http.RoundTripper {
			return cacheClosing{&gateway.Transport{Base: cacheFresh{base}, Cache: gateway.NewCache(gateway.CacheConfig{})}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			contract.Run(t, contract.Traits{Answers: name != "no cache"}, wrap)
		})
	}
}
