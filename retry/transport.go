package retry

import (
	"errors"
	"fmt"
	"io"
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
// provably never left: the connection was not established, or a layer below
// refused it. A body needs GetBody, which [http.NewRequest] sets for the usual
// readers. Requests to upgrade the connection are sent once, and so are those
// that no attempt can repair: a certificate that does not verify, a name
// that does not exist, an invalid request.
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

	mu    sync.Mutex // held to add a host
	order *simplelru.LRU[string, struct{}]
	hosts atomic.Pointer[map[string]*Policy]
}

var (
	errNotMade    = errors.New("retry: Transport.Policy was not made by New")
	errNoResponse = errors.New("retry: Transport.Base returned neither a response nor an error")
)

const (
	maxHosts   = 1024
	drainBytes = 64 << 10
	drainTime  = 100 * time.Millisecond
)

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	p := t.policy(req)
	if p.budget == nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errNotMade
	}
	resp, err := t.send(req)
	if err == nil && !retryStatus(resp.StatusCode) {
		p.budget.deposit()
		return resp, nil
	}
	return t.again(p, req, resp, err)
}

// again is the rest of RoundTrip, kept apart so that a first success stays cheap.
func (t *Transport) again(p *Policy, req *http.Request, resp *http.Response, err error) (*http.Response, error) {
	if !repeatable(req) {
		return resp, err
	}
	l := newLoop(req.Context(), p)
	defer l.end()
	for {
		delay, ok := l.plan(judge(p, req, resp, err))
		if !ok {
			return t.result(l, resp, err)
		}
		body, bodyErr := freshBody(req)
		if bodyErr != nil {
			l.cause = fmt.Errorf("retry: GetBody: %w", bodyErr)
			return t.result(l, resp, err)
		}
		if err == nil {
			err = &statusError{resp.StatusCode}
			drain(resp.Body)
		}
		if !l.wait(delay) {
			if body != nil {
				body.Close()
			}
			return nil, l.fail(err)
		}
		// The copy shares its maps with req: the request's trailers appear in them
		// while the body is read.
		next := req.WithContext(l.ctx)
		next.Body = body
		resp, err = t.send(next)
		if err != nil {
			continue
		}
		resp.Request = req
		if !retryStatus(resp.StatusCode) {
			p.budget.deposit()
			return resp, nil
		}
	}
}

func (t *Transport) result(l *loop, resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, l.fail(err)
	}
	return resp, nil
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
	if resp == nil && err == nil {
		err = errNoResponse
	}
	return resp, err
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

// judge decides about an attempt that ended with err or with a status that is
// retried.
func judge(p *Policy, req *http.Request, resp *http.Response, err error) verdict {
	ctx := req.Context()
	if err == nil {
		return verdict{
			stop:  ctx.Err() != nil || !idempotent(req),
			after: httpfield.RetryAfter(resp.Header),
		}
	}
	v := classify(ctx, p, err)
	if !v.rejected && (hopeless(err) || !idempotent(req) && !neverSent(err)) {
		v.stop = true
	}
	return v
}

func freshBody(req *http.Request) (io.ReadCloser, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, nil
	}
	return req.GetBody()
}

func drain(body io.ReadCloser) {
	late := time.AfterFunc(drainTime, func() { body.Close() })
	defer late.Stop()
	io.CopyN(io.Discard, body, drainBytes)
	body.Close()
}

// statusError stands for a response that was given up for another attempt.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return fmt.Sprintf("server answered %d %s", e.code, http.StatusText(e.code))
}

func (e *statusError) HTTPStatusCode() int { return e.code }
