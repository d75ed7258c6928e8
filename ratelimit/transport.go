package ratelimit

import (
	"context"
	"errors"
	"net/http"

	"github.com/belay-go/belay/internal/httpbody"
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
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper

	// Bulkhead is asked first. Its permit is held until the response's body is
	// closed or read to its end, or there is no response. nil means no limit.
	Bulkhead Acquirer

	// Limiter is waited for before each request, with the request's context. nil
	// means no limit.
	Limiter Waiter
	// Wait is called after that, for limits that depend on the request: on its host,
	// its tenant, its cost. nil means none.
	Wait func(*http.Request) error
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Bulkhead == nil {
		if err := t.wait(req); err != nil {
			return refuse(req, err)
		}
		return t.base().RoundTrip(req)
	}
	permit, err := t.Bulkhead.Acquire(req.Context())
	if err != nil {
		return refuse(req, err)
	}
	held := true
	defer func() {
		if held { // also after a panic or a runtime.Goexit
			permit.Done()
		}
	}()
	if err := t.wait(req); err != nil {
		return refuse(req, err)
	}
	resp, err := t.base().RoundTrip(req)
	if err == nil && resp != nil {
		held = false
		httpbody.Track(resp, func(error) { permit.Done() })
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
