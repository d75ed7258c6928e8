package loadbalance

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
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
// they have left and drained. No two endpoints share connections. A copy sets up HTTP/2
// by itself, from Base.HTTP2, where Base got it from x/net/http2. If Base is something
// else, the name in the handshake is up to that.
//
// A request is in flight until the body of its response has been read or closed; its
// latency is the time to the response's header. A response counts when its header
// arrives, and turns into a failure if its body then breaks off, but for that of a 101,
// which may end in any way. A deadline that ends a body does so only if reads have waited
// for at least half of the time since the header; otherwise the caller was slow. In a
// stream of events (text/event-stream) only the last read counts. What says only at its end how the call went, gRPC and other
// responses with trailers, counts there; Classify can read the trailers. Statuses from
// 500 on are failures, but for 501 and 505, which speak of the request. 503 with a
// Retry-After is an overload, and keeps the endpoint cool for as long. 429 says
// nothing: it speaks of the caller's quota.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
	// Balancer picks the endpoints.
	Balancer *Balancer[*url.URL]
	// Host is the logical host that is balanced, as in the URLs of requests. Requests
	// for another host go to Base as they are, so that redirects to elsewhere, and the
	// credentials for there, do not reach the endpoints. Empty: all requests are
	// balanced, as behind a reverse proxy.
	Host string
	// RewriteHost tells a server the host in its endpoint's URL, not the one that the
	// caller has asked for.
	RewriteHost bool
	// Hint gives the hint for a request, if set.
	Hint func(*http.Request) Hint
	// Classify decides what an exchange says about its endpoint. It is asked when the
	// header of the response arrives, with err nil, or when there is none, with the
	// error of Base. It is asked again when the body ends, if it broke off, with the
	// error, or if the response has trailers, with err nil. The last answer counts;
	// Ignored at the header means that it is not known yet.
	//
	// resp is never nil: without a response it has the Request, the status 0 and
	// nothing else. It must not be changed, nor its body read. Default leaves the
	// decision to Config.Classify, if there is an err, and then to the rules above. nil
	// always does. Classify is not asked about refusals by the layers below, nor about
	// faults of the caller, such as a cancel.
	Classify func(resp *http.Response, err error) Outcome

	once  sync.Once // tells the Balancer about pools
	pools sync.Map  // *node to *pool
}

var (
	errNoBalancer = errors.New("loadbalance: Transport without a Balancer that was made by New")
	errNoResponse = errors.New("loadbalance: Transport.Base returned neither a response nor an error")
	errNoURL      = errors.New("loadbalance: Transport: the request, or the endpoint, has no URL")
)

// RoundTrip implements [http.RoundTripper]. If no endpoint can be picked it sends nothing
// and returns an [*Error], or the cause of the request's context if that has ended. An
// error of Base comes back as it is, but for a refusal while others are left, as with
// [Do].
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
	x := &exchange{t: t, in: req}
	var err error
	if x.pick, err = t.Balancer.PickWith(req.Context(), hint); err != nil {
		closeBody(req)
		return nil, bare(err)
	}
	if x.pick.Value() == nil {
		x.pick.Done(Result{Outcome: Ignored})
		closeBody(req)
		return nil, errNoURL
	}
	result := Result{Outcome: Failure} // if Base or Classify panics or calls runtime.Goexit
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
		result = x.judge(nil, err)
		return nil, t.Balancer.core.other(req.Context(), x.pick.call.node, hint.Exclude, err)
	}
	x.unaim(resp)
	result = x.judge(resp, nil)
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

// bare returns what ended the caller's context as it is, as net/http does, where that
// is all there is to say.
func bare(err error) error {
	if e, ok := err.(*Error); ok && (e.Err == context.Canceled || e.Err == context.DeadlineExceeded) {
		return e.Cause
	}
	return err
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
