package loadbalance_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/loadbalance"
)

// lazy is a Transport whose only endpoint is where the first request goes.
type lazy struct {
	transport loadbalance.Transport
	once      sync.Once
}

func (l *lazy) RoundTrip(req *http.Request) (*http.Response, error) {
	l.once.Do(func() {
		if req.URL == nil {
			return // and so has no Balancer, which is an error as well
		}
		set := loadbalance.Endpoint[*url.URL]{Key: "it", Value: &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}}
		l.transport.Host = req.URL.Host
		l.transport.Balancer = loadbalance.New(loadbalance.Static(set), loadbalance.Config{})
	})
	return l.transport.RoundTrip(req)
}

func (l *lazy) CloseIdleConnections() { l.transport.CloseIdleConnections() }

func (l *lazy) Close() error {
	if l.transport.Balancer == nil {
		return nil
	}
	return l.transport.Balancer.Close()
}

func TestTransportContract(t *testing.T) {
	contract.Run(t, contract.Traits{Watches: true}, func(base http.RoundTripper) http.RoundTripper {
		return &lazy{transport: loadbalance.Transport{Base: base}}
	})
}

func TestSpreadContract(t *testing.T) {
	contract.Run(t, contract.Traits{}, func(base http.RoundTripper) http.RoundTripper {
		return &loadbalance.Spread{Base: base}
	})
}
