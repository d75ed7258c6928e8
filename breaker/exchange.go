package breaker

import (
	"net/http"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpbody"
	"github.com/belay-go/belay/internal/httpfield"
)

// An exchange is a request that was admitted, on its way to the end of its response.
type exchange struct {
	transport *Transport
	breaker   *Breaker
	req       *http.Request
	permit    Permit

	upload *upload // the body of the request, if it is watched
	resp   *http.Response
	body   httpbody.Body
	reads  httpbody.Stopwatch
	clean  Outcome // what a clean end means: Default if the headers have said all
	end    Outcome // that the permit is given back with if user code does not return
	passed bool    // what came has been passed on to the caller
}

// do sends the request. The permit is given back when do returns or, if there is a
// body to follow, when that has ended.
func (x *exchange) do() (*http.Response, error) {
	x.end = Failure
	defer x.unwind()
	ctx, sent := x.req.Context(), x.watched()
	resp, err := x.transport.base().RoundTrip(sent)
	if resp == nil && err == nil {
		err = errNoResponse
	}
	if err != nil {
		x.permit.done(ctx, x.failed(err), 0)
		x.passed = true
		return nil, err
	}
	if resp.Request == sent {
		resp.Request = x.req
	}
	x.resp = resp
	switch o := x.headers(); {
	case o == Failure:
		x.permit.done(ctx, o, x.retryAfter())
	case resp.StatusCode == http.StatusSwitchingProtocols,
		x.clean == Default && x.transport.Classify == nil:
		x.permit.done(ctx, o, 0)
	default:
		x.end = Default // what was answered stands
		x.permit.answered(ctx, o, 0)
		x.reads.Watch(resp, x.breaker.epoch)
		x.body.Track(resp, x)
	}
	x.passed = true
	return resp, nil
}

// unwind gives everything back if Base, Classify or Observe has panicked, or called
// runtime.Goexit.
func (x *exchange) unwind() {
	if x.passed {
		return
	}
	if x.resp != nil && x.resp.Body != nil {
		defer x.resp.Body.Close()
	}
	x.permit.done(x.req.Context(), x.end, 0)
}

// failed returns the outcome of a request without a response.
func (x *exchange) failed(err error) Outcome {
	if x.ownFault(err) || malformed(x.req) {
		return Ignored
	}
	if o := x.classified(&http.Response{Request: x.req, Header: http.Header{}, Body: http.NoBody}, err); o != Default {
		return o
	}
	return x.breaker.Outcome(x.req.Context(), err)
}

// broken returns the outcome of an exchange whose body broke off with err.
func (x *exchange) broken(err error) Outcome {
	ctx := x.req.Context()
	if o := x.classified(x.resp, err); o != Default {
		return o
	}
	if httpbody.OutOfTime(ctx) && !x.reads.Slow() {
		return x.breaker.cfg.classified(ctx, err)
	}
	return x.breaker.Outcome(ctx, err)
}

// classified returns the answer of the Transport's Classify.
func (x *exchange) classified(resp *http.Response, err error) Outcome {
	if x.transport.Classify == nil {
		return Default
	}
	return x.transport.Classify(resp, err)
}

// headers returns the outcome as far as the headers tell it.
func (x *exchange) headers() (o Outcome) {
	if x.upload != nil && x.upload.broken.Load() {
		return Ignored
	}
	if x.transport.Classify != nil {
		o = x.transport.Classify(x.resp, nil)
	}
	if o == Default {
		if o = byStatus(x.resp.StatusCode); o == Success && saysAtItsEnd(x.resp) {
			x.clean = Success
			return Ignored
		}
	}
	if o == Success {
		x.clean = Success
	}
	return o
}

// Ended is told by the body that it has ended.
func (x *exchange) Ended(err error) {
	end := Default // what was answered stands
	defer func() { x.permit.done(x.req.Context(), end, 0) }()
	switch {
	case err != nil && x.ownFault(err):
	case err != nil:
		end = x.broken(err)
	case x.transport.Classify != nil && x.body.Complete() && len(x.resp.Trailer) > 0:
		if end = x.transport.Classify(x.resp, nil); end == Default {
			end = byStatus(x.resp.StatusCode)
		}
	default:
		end = x.clean
	}
}

func (x *exchange) retryAfter() time.Duration { return httpfield.RetryAfter(x.resp.Header) }

func byStatus(code int) Outcome {
	switch {
	case code == http.StatusTooManyRequests:
		return Ignored
	case code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		return Failure
	}
	return Success
}

// saysAtItsEnd reports whether a good status says nothing yet: there will be
// trailers, or it is gRPC that does not say it in the header.
func saysAtItsEnd(resp *http.Response) bool {
	return len(resp.Trailer) > 0 ||
		strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc") && resp.Header.Get("Grpc-Status") == ""
}
