package loadbalance

import (
	"context"
	"net/http"
	"slices"
	"sync"
)

// Spread is an [http.RoundTripper] that gives each request a context of
// [WithSpread]. It belongs around whatever retries or hedges, so that all attempts
// that a [Transport] below sees go to different endpoints:
//
//	&loadbalance.Spread{Base: &retry.Transport{Base: &loadbalance.Transport{...}}}
//
// The zero value is ready for use. Its field must not change after the first
// request. It is safe for concurrent use.
type Spread struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (s *Spread) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := req.WithContext(WithSpread(req.Context()))
	resp, err := orDefault(s.Base).RoundTrip(sent)
	if resp != nil && resp.Request == sent {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of Base.
func (s *Spread) CloseIdleConnections() { closeIdle(orDefault(s.Base)) }

// WithSpread returns a context for one call that may be attempted more than once,
// with retries or hedges. Each [Balancer] sends each pick with that context, or one
// derived from it, to an endpoint where no other pick of the call has been, as long
// as there is a healthy one. The context is for one call only, not for the calls
// that this one leads to.
func WithSpread(ctx context.Context) context.Context {
	return context.WithValue(ctx, spreadKey{}, new(visits))
}

type spreadKey struct{}

// visits are the nodes to which the attempts of one call have gone, oldest first.
type visits struct {
	mu    sync.Mutex
	nodes []*node
}

// maxVisits bounds what is remembered of one call.
const maxVisits = 64

// of appends those of c to list.
func (v *visits) of(c *core, list []*node) []*node {
	if v == nil {
		return list
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.nodes {
		if n.core == c {
			list = append(list, n)
		}
	}
	return list
}

func (v *visits) add(n *node) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.nodes) == maxVisits {
		v.nodes = slices.Delete(v.nodes, 0, 1)
	}
	v.nodes = append(v.nodes, n)
}

func orDefault(rt http.RoundTripper) http.RoundTripper {
	if rt == nil {
		return http.DefaultTransport
	}
	return rt
}

func closeIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
