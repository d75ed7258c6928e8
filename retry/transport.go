package retry

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Transport is an [http.RoundTripper] that retries requests. The zero value is
// ready for use; its fields must not change after the first request. It is safe
// for concurrent use.
//
// A request is sent again after an error, or a 408, 429, 502, 503 or 504, if it
// is idempotent: by its method (GET, HEAD, OPTIONS, TRACE, PUT, DELETE; RFC 9110,
// section 9.2.2) or by an Idempotency-Key. Any other is sent again only if it
// provably never left: the connection was not established, the server's HTTP/2
// refused the stream or closed the connection before looking at it, or a layer
// below refused it. A body needs GetBody, which [http.NewRequest] sets for the
// usual readers, or MaxBody. Requests to upgrade the connection are sent once, and
// so are those that no attempt can repair: a certificate that does not verify, a
// name that does not exist, an invalid request.
//
// When no attempt is left, or the budget, the deadline or Retry-After forbids
// one, the last response is returned as it is, not an error. Responses that are
// given up are read to their end (up to 64 KiB and 100 ms) so that their
// connections can be used again.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper

	// Policy applies to all requests. nil means a default Policy for each
	// host, so that each has a budget of its own; the 1,024 hosts used first
	// are kept.
	Policy *Policy

	// Hedger, if not nil, begins idempotent requests that are slow a second
	// time. Each attempt of the Policy is then a hedged one. Give both the same
	// Budget.
	Hedger *Hedger

	// Idempotent reports whether it does no harm to send a request twice. nil
	// means the rules above.
	Idempotent func(*http.Request) bool

	// Classify decides about a response, or the error in its place, before the
	// rules above and those of the Policy do. What it retries must still be
	// idempotent or never sent. nil leaves everything to them.
	Classify func(*http.Response, error) Decision

	// MaxBody is the length up to which a body without GetBody is read into
	// memory before the request is sent, so that it can be sent again. It
	// takes requests whose ContentLength is known. 0 means none.
	MaxBody int64

	// Balanced says that Base spreads requests over several hosts. The
	// Retry-After of a 503 is then a matter between that layer and the one host,
	// and the request is sent again at once.
	Balanced bool

	mu    sync.Mutex // held to add a host
	order *simplelru.LRU[string, struct{}]
	hosts atomic.Pointer[map[string]*Policy]
}

var (
	errNotMade       = errors.New("retry: Transport.Policy was not made by New")
	errHedgerNotMade = errors.New("retry: Transport.Hedger was not made by NewHedger")
	errNoResponse    = errors.New("retry: Transport.Base returned neither a response nor an error")
)

const (
	maxHosts   = 1024
	drainBytes = 64 << 10
	drainTime  = 100 * time.Millisecond
)

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	p := t.policy(req)
	if err := t.check(p); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if p.timed || t.Hedger != nil || t.MaxBody > 0 && req.Body != nil && req.GetBody == nil {
		return t.timed(p, req)
	}
	resp, err := t.send(req)
	if err == nil && !t.bad(resp) {
		if resp.StatusCode < 500 {
			p.budget.deposit()
		}
		return resp, nil
	}
	var l loop
	l.begin(req.Context(), p)
	defer l.end()
	return t.rest(&l, req, resp, err)
}

// timed is RoundTrip where a first attempt needs more than the request itself.
func (t *Transport) timed(p *Policy, req *http.Request) (*http.Response, error) {
	orig := req
	req, err := t.buffered(req)
	if err != nil {
		return nil, err
	}
	var l loop
	l.begin(req.Context(), p)
	defer l.end()
	resp, err := t.attempt(&l, req, req.Body)
	resp, err = t.rest(&l, req, resp, err)
	if err == nil {
		resp.Request = orig
	}
	return resp, err
}

// rest goes on after an attempt.
func (t *Transport) rest(l *loop, req *http.Request, resp *http.Response, err error) (*http.Response, error) {
	for {
		if err == nil && !t.bad(resp) {
			if resp.StatusCode < 500 {
				l.succeed()
			} else {
				l.plan(verdict{stop: true}, &statusError{code: resp.StatusCode})
			}
			return resp, nil
		}
		v := t.judge(l.policy, req, resp, err)
		if err == nil {
			err = &statusError{code: resp.StatusCode}
		}
		delay, ok := l.plan(v, err)
		if !ok {
			return t.result(l, resp, err)
		}
		body, bodyErr := freshBody(req)
		if bodyErr != nil {
			l.abandon(fmt.Errorf("retry: GetBody: %w", bodyErr), err)
			return t.result(l, resp, err)
		}
		if resp != nil {
			drain(resp.Body)
		}
		if !l.wait(delay, err) {
			if body != nil {
				body.Close()
			}
			return nil, l.fail(err)
		}
		resp, err = t.attempt(l, req, body)
	}
}

// result is a response, if there is one, and otherwise an error.
func (t *Transport) result(l *loop, resp *http.Response, err error) (*http.Response, error) {
	if resp != nil {
		return resp, nil
	}
	return nil, l.fail(err)
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// send is Base's RoundTrip, which returns a response or an error, never neither.
func (t *Transport) send(req *http.Request) (*http.Response, error) {
	resp, err := t.base().RoundTrip(req)
	if err != nil {
		if resp != nil && resp.Body != nil {
			resp.Body.Close()
		}
		return nil, err
	}
	if resp == nil {
		return nil, errNoResponse
	}
	return resp, nil
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

func (t *Transport) policy(req *http.Request) *Policy {
	if t.Policy != nil {
		return t.Policy
	}
	var host string
	if req.URL != nil {
		host = req.URL.Host
	}
	if m := t.hosts.Load(); m != nil {
		if p := (*m)[host]; p != nil {
			return p
		}
	}
	return t.addHost(host)
}

// addHost copies the map: hosts are few and looked up on every request.
func (t *Transport) addHost(host string) *Policy {
	t.mu.Lock()
	defer t.mu.Unlock()
	var hosts map[string]*Policy
	if m := t.hosts.Load(); m != nil {
		if p := (*m)[host]; p != nil {
			return p
		}
		hosts = maps.Clone(*m)
	} else {
		hosts = make(map[string]*Policy)
		t.order, _ = simplelru.NewLRU[string, struct{}](maxHosts, nil)
	}
	if t.order.Len() == maxHosts {
		oldest, _, _ := t.order.RemoveOldest()
		delete(hosts, oldest)
	}
	t.order.Add(host, struct{}{})
	p := New(Config{})
	hosts[host] = p
	t.hosts.Store(&hosts)
	return p
}

func (t *Transport) check(p *Policy) error {
	if p.budget == nil {
		return errNotMade
	}
	if t.Hedger != nil && t.Hedger.cfg.Budget == nil {
		return errHedgerNotMade
	}
	return nil
}

// bad reports whether resp is one that is retried.
func (t *Transport) bad(resp *http.Response) bool {
	if t.Classify != nil {
		switch t.Classify(resp, nil) {
		case Retry:
			return true
		case Stop:
			return false
		}
	}
	return retryStatus(resp.StatusCode)
}

// judge decides about an attempt that ended with err or with a bad response.
func (t *Transport) judge(p *Policy, req *http.Request, resp *http.Response, err error) verdict {
	ctx := req.Context()
	if ctx.Err() != nil || !repeatable(req) {
		return verdict{stop: true}
	}
	if err == nil {
		v := verdict{stop: !t.idempotent(req), after: httpfield.RetryAfter(resp.Header)}
		if t.Balanced && resp.StatusCode == http.StatusServiceUnavailable && v.after > 0 {
			v.atOnce, v.after = true, 0
		}
		return v
	}
	v := classify(ctx, p.cfg.Classify, err)
	if t.Classify != nil {
		switch t.Classify(nil, err) {
		case Retry:
			v.stop = false
		case Stop:
			v.stop = true
		}
	}
	if !v.rejected && (hopeless(err) || !t.idempotent(req) && !neverSent(err)) {
		v.stop = true
	}
	return v
}

func (t *Transport) idempotent(req *http.Request) bool {
	if t.Idempotent != nil {
		return t.Idempotent(req)
	}
	return idempotent(req)
}
