package ratelimit

import (
	"context"
	"errors"
	"net/http"
)

// A Waiter blocks until a call may be made, or returns why it must not be. A
// [*Limiter] is one, and so is a [*golang.org/x/time/rate.Limiter].
type Waiter interface {
	Wait(context.Context) error
}

// Transport is an [http.RoundTripper] that sends requests no faster, and no more at
// once, than limits allow. The zero value does not limit. Its fields must not change
// after the first request. It is safe for concurrent use.
//
// A request that must not be sent returns an [*Error]; its body is closed.
//
// Concurrency is told how each request was answered, if it learns from that. The
// answer counts when the headers arrive: 429, and 503 with a Retry-After, are an
// Overload; every other status from 500 on is a Failure, but for 501 and 505, which
// speak of the request; all others are a Success. A response with trailers, or of a
// content type of application/grpc, counts when its body ends. An error counts as
// [Permit.Outcome] says.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper

	// Concurrency is asked first, and limits the requests under way. Its Permit is
	// held until the response's body is closed or read to its end, or until it is
	// known that there is no response. nil means no limit.
	Concurrency Acquirer
	// Limiter is waited for before each request, with the request's context. nil
	// means no limit.
	Limiter Waiter
	// Wait is called after that, for limits that depend on the request: on its host,
	// its tenant, its cost. nil means none.
	Wait func(*http.Request) error

	// Classify says what a response, or the error in its place, means to
	// Concurrency, if that learns from it; a [Bulkhead] does not. It is asked when
	// the headers arrive, or when err is known. After an answer of Ignored it is
	// asked again when the body has ended: err is what has broken it, or nil, and
	// the trailers are there. The first answer that is not Ignored counts. Default
	// leaves it to the rules above.
	//
	// resp is never nil: in place of none it is one with a Request, without a status,
	// header or body. Classify must neither read nor change it. It is not asked about
	// refusals and the caller's own cancel.
	Classify func(resp *http.Response, err error) Outcome
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Concurrency == nil {
		if err := t.wait(req); err != nil {
			return refuse(req, err)
		}
		return t.base().RoundTrip(req)
	}
	x := &exchange{transport: t, req: req}
	var err error
	if x.permit, err = t.Concurrency.Acquire(req.Context()); err != nil {
		return refuse(req, err)
	}
	defer x.settle() // also after a panic or a runtime.Goexit
	if err := t.wait(req); err != nil {
		x.permit.Answered(Ignored)
		return refuse(req, err)
	}
	resp, err := t.base().RoundTrip(req)
	if err == nil && resp != nil {
		x.resp = resp
	}
	x.headers(err)
	if x.resp != nil {
		x.open = true
		x.body.Track(resp, x)
	}
	return resp, err
}

func (t *Transport) wait(req *http.Request) error {
	if t.Limiter != nil {
		if err := t.Limiter.Wait(req.Context()); err != nil {
			return err
		}
	}
	if t.Wait != nil && req.URL != nil { // without one nothing is sent
		return t.Wait(req)
	}
	return nil
}

// refuse does not send req.
func refuse(req *http.Request, err error) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		err = &Error{Cause: err}
	}
	return nil, err
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}
