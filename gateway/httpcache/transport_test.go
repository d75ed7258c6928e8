package httpcache_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/contract"
)

// closing ends the cache when the kit closes the wrapper.
type closing struct {
	*httpcache.Transport
}

func (c closing) Close() error { return c.Cache.Close() }

// freshening lets the cache store every response of its base, but a 101.
type freshening struct{ base http.RoundTripper }

func (f freshening) RoundTrip(r *http.Request) (*http.Response, error) {
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

func (f freshening) CloseIdleConnections() {
	if c, ok := f.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func TestTransportContract(t *testing.T) {
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"no cache": func(base http.RoundTripper) http.RoundTripper {
			return &httpcache.Transport{Base: base}
		},
		"private": func(base http.RoundTripper) http.RoundTripper {
			return closing{&httpcache.Transport{Base: base, Cache: httpcache.New(httpcache.Config{})}}
		},
		"storing": func(base http.RoundTripper) http.RoundTripper {
			return closing{&httpcache.Transport{Base: freshening{base}, Cache: httpcache.New(httpcache.Config{})}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			contract.Run(t, contract.Traits{Answers: name != "no cache"}, wrap)
		})
	}
}
