package loadbalance

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/belay-go/belay/internal/httpbody"
	"github.com/belay-go/belay/internal/httpfield"
)

// exchange is a request and its response, in one piece.
type exchange struct {
	t    *Transport
	in   *http.Request
	out  http.Request
	url  url.URL // of out
	body upload  // of out, if in has one
	pick Pick[*url.URL]
	resp *http.Response // nil as long as there is none
	end  httpbody.Body

	reads httpbody.Stopwatch
}

// aim makes the request for the endpoint, and returns what is to send it.
func (x *exchange) aim() http.RoundTripper {
	target := x.pick.Value()
	x.out = *x.in // apart: together they would be copied twice
	x.url = *x.in.URL
	x.out.URL = &x.url
	if x.body.watch(x.in) {
		x.out.Body = &x.body
	}
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

// unaim gives a response the request that it answers, with the caller's URL. One that a
// layer below has sent in place of x.out says what that has added.
func (x *exchange) unaim(resp *http.Response) {
	switch sent := resp.Request; {
	case sent == nil || sent == x.in:
	case sent == &x.out:
		resp.Request = x.in
	case sent.URL != nil && *sent.URL == x.url:
		asked := *sent
		if asked.URL = x.in.URL; asked.Host == x.out.Host {
			asked.Host = x.in.Host
		}
		resp.Request = &asked
	}
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
	if r.Outcome == Success && late(resp) {
		r.Outcome = Ignored // not known yet
	}
	x.pick.call.answer(x.in.Context(), &r)
	x.reads.Watch(resp, x.pick.call.node.core.epoch)
	x.end.Track(resp, x)
}

// Ended takes in the end of the response's body.
func (x *exchange) Ended(err error) {
	r := Result{Outcome: Failure} // if Classify panics
	defer func() { x.pick.call.done(x.in.Context(), &r) }()
	switch {
	case x.resp.StatusCode == http.StatusSwitchingProtocols: // its end is up to both sides
		r = Result{Outcome: Ignored}
	case err != nil, x.end.Complete() && len(x.resp.Trailer) > 0:
		r = x.judge(x.resp, err)
	default: // also a body that was closed before its end
		r = Result{Outcome: Ignored}
	}
}

// judge says what a response, or an error in its place or in its body, says about the
// endpoint.
func (x *exchange) judge(resp *http.Response, err error) Result {
	ctx := x.in.Context()
	if err != nil && (verdict(ctx, err) == Ignored || x.body.failed.Load() || unsendable(x.in)) {
		return Result{Outcome: Ignored, Err: err}
	}
	r := Result{Err: err}
	if classify := x.t.Classify; classify != nil {
		known := resp
		if known == nil {
			known = &http.Response{Request: x.in, Header: http.Header{}, Body: http.NoBody}
		}
		r.Outcome = classify(known, err)
	}
	switch core := x.pick.call.node.core; {
	case r.Outcome == Default && err != nil && resp != nil && httpbody.OutOfTime(ctx) && !x.reads.Slow():
		r.Outcome = cmp.Or(core.classified(ctx, err), Ignored) // nobody read, or events were coming
	case r.Outcome == Default && err != nil:
		r.Outcome = core.outcome(ctx, err)
	case r.Outcome == Default:
		r.Outcome = byStatus(resp)
	}
	if resp != nil && err == nil && (r.Outcome == Failure || r.Outcome == Overload) {
		r.Err = statusError(resp.StatusCode)
		r.RetryAfter = httpfield.RetryAfter(resp.Header)
	}
	return r
}

// byStatus is the rules for a response.
func byStatus(resp *http.Response) Outcome {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		return Ignored
	case code == http.StatusServiceUnavailable && httpfield.RetryAfter(resp.Header) > 0:
		return Overload
	case code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		return Failure
	}
	return Success
}

// late reports whether a response says only at its end how the call went: gRPC, and
// what announces trailers. A gRPC response without a body says it in its header.
func late(resp *http.Response) bool {
	return len(resp.Trailer) > 0 || strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc") && resp.Header.Get("Grpc-Status") == ""
}

// statusError is a status as the reason of an ejection.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }
