package gateway_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/contract"
)

// firstOrigin makes the Gateway that a request needs, since a contract's case begins
// without a URL.
type firstOrigin struct {
	base http.RoundTripper
	auth gateway.Auth

	mu   sync.Mutex
	rt   http.RoundTripper
	from string
}

func (f *firstOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	return f.to(req).RoundTrip(req)
}

func (f *firstOrigin) to(req *http.Request) http.RoundTripper {
	f.mu.Lock()
	defer f.mu.Unlock()
	origin := "http://none.test"
	if req.URL != nil && (req.URL.Scheme == "http" || req.URL.Scheme == "https") && req.URL.Host != "" {
		origin = req.URL.Scheme + "://" + req.URL.Host
	}
	if f.rt == nil || f.from != origin {
		g, err := gateway.New(gateway.Config{BaseURL: origin, Transport: f.base, Auth: f.auth})
		if err != nil {
			panic(err)
		}
		f.rt, f.from = g.Client().Transport, origin
	}
	return f.rt
}

func (f *firstOrigin) CloseIdleConnections() {
	req := http.Request{}
	f.to(&req).(interface{ CloseIdleConnections() }).CloseIdleConnections()
}

func TestClientContract(t *testing.T) {
	for name, auth := range map[string]gateway.Auth{
		"without Auth": nil,
		"with Auth":    gateway.APIKey("X-Api-Key", "0123456789"),
	} {
		t.Run(name, func(t *testing.T) {
			contract.Run(t, contract.Traits{}, func(base http.RoundTripper) http.RoundTripper {
				return &firstOrigin{base: base, auth: auth}
			})
		})
	}
}
