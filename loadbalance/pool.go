package loadbalance

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// A pool is the connections to one endpoint.
type pool struct {
	base *http.Transport

	mu      sync.Mutex
	direct  *http.Transport // for URLs with the endpoint's own host
	other   *http.Transport // for URLs with another, dialing address all the same
	address string
}

// pool returns the one of a node, or nil if Base is no [http.Transport].
func (t *Transport) pool(n *node) *pool {
	if p, ok := t.pools.Load(n); ok {
		return p.(*pool)
	}
	base, ok := orDefault(t.Base).(*http.Transport)
	if !ok {
		return nil
	}
	t.once.Do(func() {
		c := n.core
		defer c.deliver()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drains = append(c.drains, t.drained)
	})
	p, _ := t.pools.LoadOrStore(n, &pool{base: base})
	return p.(*pool)
}

// drainedLocked gives up the connections to an endpoint that has left.
func (t *Transport) drained(n *node) {
	if p, ok := t.pools.LoadAndDelete(n); ok {
		p.(*pool).closeIdle()
	}
}

func (p *pool) plain() *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.direct == nil {
		p.direct = clone(p.base)
	}
	return p.direct
}

// pinned returns a transport that dials target whatever the host in a URL, so that
// the handshake has the name that the caller has asked for, and the certificate
// must be one for it. There is no proxy in between: it would dial that host.
func (p *pool) pinned(target *url.URL) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	address := net.JoinHostPort(target.Hostname(), cmp.Or(target.Port(), "443"))
	if p.address == address {
		return p.other
	}
	if p.other != nil { // the endpoint has moved
		p.other.CloseIdleConnections()
	}
	p.other, p.address = clone(p.base), address
	p.other.Proxy = nil
	//lint:ignore SA1019 there are callers who set it
	dial := firstDialer(p.base.DialContext, legacy(p.base.Dial), new(net.Dialer).DialContext)
	p.other.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
	//lint:ignore SA1019 there are callers who set it
	if dialTLS := firstDialer(p.base.DialTLSContext, legacy(p.base.DialTLS)); dialTLS != nil {
		p.other.DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialTLS(ctx, network, address)
		}
	}
	return p.other
}

// clone returns a transport like base with connections of its own. One whose HTTP/2 was
// set up by x/net/http2 hands its connections to a pool that its clones would share, so
// that a request for one endpoint could reach another: the clone sets up its own.
func clone(base *http.Transport) *http.Transport {
	t := base.Clone()
	if _, ok := t.TLSNextProto["h2"]; ok {
		delete(t.TLSNextProto, "h2")
		t.ForceAttemptHTTP2 = true
		if len(t.TLSNextProto) == 0 {
			t.TLSNextProto = nil // empty would mean that there is no HTTP/2
		}
	}
	return t
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// legacy is a dialer from before there were contexts, or nil.
func legacy(dial func(network, address string) (net.Conn, error)) dialer {
	if dial == nil {
		return nil
	}
	return func(_ context.Context, network, address string) (net.Conn, error) { return dial(network, address) }
}

// firstDialer returns the first that is set.
func firstDialer(dialers ...dialer) dialer {
	for _, d := range dialers {
		if d != nil {
			return d
		}
	}
	return nil
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range []*http.Transport{p.direct, p.other} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}
