package loadbalance

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/belay-go/belay/internal/httpbody"
	"github.com/belay-go/belay/internal/httpfield"
)

// Transport is an [http.RoundTripper] that sends each request to an endpoint of a
// [Balancer]: to its scheme and host, with its path before the request's. It never
// sends a request twice. A literal with a Balancer is ready for use; without one,
// every request is an error. Its fields must not change after the first request. It
// is safe for concurrent use.
//
// The server is told the host that the caller has asked for, in the Host field and
// in the TLS handshake, whatever the address of the endpoint, unless RewriteHost is
// set. If Base is an [http.Transport], endpoints that need it for that have a copy of
// Base, and so have those of a set that can change: their connections are closed when
// they have left and drained. If Base is something else, the name in the handshake
// is up to that.
//
// A request counts as in flight until the body of its response has been read or
// closed; its latency is the time to the response's header. Statuses from 500 on
// are failures, but for 501 and 505, which speak of the request; so is a body that
// fails, but for that of a 101, which may end in any way. 429 is an overload, and so
// is 503 with a Retry-After, which either way keeps the endpoint cool for as long.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
	// Balancer picks the endpoints.
	Balancer *Balancer[*url.URL]
	// Host is the logical host that is balanced, as in the URLs of requests; those
	// for another go to Base as they are, which keeps redirects to elsewhere, and
	// the credentials for there, from the endpoints. Empty: all are balanced, as
	// behind a reverse proxy.
	Host string
	// RewriteHost tells a server the host in its endpoint's URL in place of the one
	// that the caller has asked for.
	RewriteHost bool
	// Hint gives the hint for a request, if set.
	Hint func(*http.Request) Hint
	// Classify gives the result of a response; err is nil, or the error that ended
	// its body early. nil means the rules above.
	Classify func(resp *http.Response, err error) Result

	once  sync.Once // tells the Balancer about pools
	pools sync.Map  // *node to *pool
}

var (
	errNoBalancer = errors.New("loadbalance: Transport without a Balancer that was made by New")
	errNoResponse = errors.New("loadbalance: Transport.Base returned neither a response nor an error")
	errNoURL      = errors.New("loadbalance: Transport: the request, or the endpoint, has no URL")
)

// RoundTrip implements [http.RoundTripper]. A request for which nothing can be picked
// returns an [*Error]; its body is closed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.check(req); err != nil {
		closeBody(req)
		return nil, err
	}
	if t.Host != "" && !strings.EqualFold(t.Host, req.URL.Host) {
		return orDefault(t.Base).RoundTrip(req)
	}
	var hint Hint
	if t.Hint != nil {
		hint = t.Hint(req)
	}
	pick, err := t.Balancer.PickWith(req.Context(), hint)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if pick.Value() == nil {
		pick.Done(Result{Outcome: Ignored})
		closeBody(req)
		return nil, errNoURL
	}
	x := &exchange{t: t, in: req, pick: pick}
	result := Result{Outcome: Failure} // if Base panics or calls runtime.Goexit
	defer func() {
		if x.resp == nil {
			x.pick.call.done(req.Context(), &result)
		}
	}()
	resp, err := x.aim().RoundTrip(&x.out)
	if resp == nil && err == nil {
		err = errNoResponse
	}
	if err != nil {
		result = Result{Err: err}
		return nil, err
	}
	resp.Request = req
	result = t.result(resp, nil)
	x.answered(resp, result)
	return resp, nil
}

// CloseIdleConnections closes those of Base and of all endpoints.
func (t *Transport) CloseIdleConnections() {
	closeIdle(orDefault(t.Base))
	for _, p := range t.pools.Range {
		p.(*pool).closeIdle()
	}
}

// check reports what makes a request impossible.
func (t *Transport) check(req *http.Request) error {
	switch {
	case t.Balancer == nil || t.Balancer.core.ready == nil:
		return errNoBalancer
	case req.URL == nil:
		return errNoURL
	}
	return nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

func (t *Transport) result(resp *http.Response, err error) Result {
	if t.Classify != nil {
		return t.Classify(resp, err)
	}
	if err != nil {
		return Result{Err: err}
	}
	if resp.StatusCode < http.StatusTooManyRequests {
		return Result{}
	}
	after := httpfield.RetryAfter(resp.Header)
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && after > 0:
		return Result{Outcome: Overload, RetryAfter: after, Err: statusError(code)}
	case code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		return Result{Outcome: Failure, Err: statusError(code)}
	}
	return Result{}
}

// statusError is a status, for the reason of an ejection.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// exchange is a request and its response, in one piece.
type exchange struct {
	t      *Transport
	in     *http.Request
	out    http.Request
	url    url.URL // of out
	pick   Pick[*url.URL]
	resp   *http.Response // nil as long as there is none
	judged bool           // by its header, whatever comes of its body
	body   httpbody.Body
}

// aim makes the request for the endpoint, and returns what is to send it.
func (x *exchange) aim() http.RoundTripper {
	target := x.pick.Value()
	x.out = *x.in // apart: together they would be copied twice
	x.url = *x.in.URL
	x.out.URL = &x.url
	x.url.Scheme, x.url.Host = target.Scheme, target.Host
	if x.in.URL.Path != "*" {
		joinPath(&x.url, target)
	}
	asked := x.in.URL
	switch {
	case x.t.RewriteHost:
		x.out.Host = target.Host
	case x.out.Host == "":
		x.out.Host = asked.Host
	}
	pinned := !x.t.RewriteHost && target.Scheme == "https" && asked.Host != "" && !strings.EqualFold(asked.Hostname(), target.Hostname())
	if x.pick.call.node.core.final && !pinned {
		return orDefault(x.t.Base)
	}
	p := x.t.pool(x.pick.call.node)
	switch {
	case p == nil:
		return orDefault(x.t.Base)
	case !pinned:
		return p.plain()
	}
	x.url.Host = asked.Host // the name in the handshake
	return p.pinned(target)
}

// joinPath puts the path of target before that of u.
func joinPath(u, target *url.URL) {
	base := strings.TrimSuffix(target.EscapedPath(), "/")
	if base == "" {
		return
	}
	rest := u.EscapedPath()
	if rest != "" && rest[0] != '/' {
		rest = "/" + rest
	}
	if u.Path != "" && u.Path[0] != '/' {
		u.Path = "/" + u.Path
	}
	u.Path = strings.TrimSuffix(target.Path, "/") + u.Path
	u.RawPath = base + rest // not used if it is what Path gives
}

// answered takes in the header of the response.
func (x *exchange) answered(resp *http.Response, r Result) {
	x.resp = resp
	x.pick.call.answer(x.in.Context(), &r)
	x.judged = r.outcome(x.in.Context()) != Success
	x.body.Track(resp, x)
}

// Ended takes in the end of the response's body.
func (x *exchange) Ended(err error) {
	r := Result{}
	switch {
	case x.judged:
		r.Outcome = Ignored
	case err != nil && x.resp.StatusCode != http.StatusSwitchingProtocols:
		if r.Err = err; r.outcome(x.in.Context()) == Failure {
			r = x.t.result(x.resp, err)
		}
	}
	x.pick.call.done(x.in.Context(), &r)
}
