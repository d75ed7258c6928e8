package loadbalance

import (
	"context"
	"net/http"
	"slices"
	"sync"
)

type attemptsKey struct{}

// attempts is where the attempts of one call have been.
type attempts struct {
	mu    sync.Mutex
	nodes []*node
}

// maxTried bounds what is remembered of one call.
const maxTried = 64

// WithAttempts returns a context for a call that may be attempted more than once,
// with retries or hedges: each [Balancer] sends each pick with that context, or one
// derived from it, to an endpoint where no other was yet, as long as there is a
// healthy one. The context is for one call, and not for those that it leads to.
func WithAttempts(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptsKey{}, new(attempts))
}

// of returns the nodes of c that were picked, oldest first.
func (a *attempts) of(c *core) []*node {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.nodes), func(n *node) bool { return n.core != c })
}

func (a *attempts) add(n *node) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.nodes) == maxTried {
		a.nodes = slices.Delete(a.nodes, 0, 1)
	}
	a.nodes = append(a.nodes, n)
}

// Attempts is an [http.RoundTripper] that gives each request a context of
// [WithAttempts]. It goes around whatever retries or hedges, so that all attempts
// that a [Transport] below it sees go to different endpoints:
//
//	&loadbalance.Attempts{Base: &retry.Transport{Base: &loadbalance.Transport{...}}}
type Attempts struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (a *Attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := orDefault(a.Base).RoundTrip(req.WithContext(WithAttempts(req.Context())))
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections closes those of Base.
func (a *Attempts) CloseIdleConnections() { closeIdle(orDefault(a.Base)) }

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
