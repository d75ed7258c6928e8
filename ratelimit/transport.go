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

// Transport is an [http.RoundTripper] that sends requests no faster than a
// limiter allows. The zero value does not limit. Its fields must not change after
// the first request. It is safe for concurrent use.
//
// A request that must not be sent returns an [*Error]; its body is closed.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper

	// Limiter is waited for before each request, with the request's context. nil
	// means no limit.
	Limiter Waiter
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Limiter != nil {
		if err := t.Limiter.Wait(req.Context()); err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			if _, ok := errors.AsType[*Error](err); !ok {
				err = &Error{Cause: err}
			}
			return nil, err
		}
	}
	return t.base().RoundTrip(req)
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
