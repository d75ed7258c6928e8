package gateway

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/belay-go/belay/internal/identity"
)

// call is one logical call. It is the context of all its requests.
type call struct {
	context.Context
	gateway  *Gateway
	endpoint *plan             // nil below Gateway.Client
	identity identity.Identity // of the credentials that Auth has added
	own      *http.Request     // the endpoint's request, which nobody else has
	sent     *http.Request     // the last one given to Config.Transport, or nil
	followed bool              // a redirect: the system has got the first request
	query    string            // of own, before Auth
	form     string            // the body of own, if it is made of form fields
}

type callKey struct{}

// Value implements [context.Context].
func (c *call) Value(key any) any {
	switch key {
	case callKey{}:
		return c
	case identity.Key{}:
		return &c.identity
	}
	return c.Context.Value(key)
}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// EndpointFrom returns the name of the endpoint that a request belongs to, for the
// layers below. There are few such names, so that they can be labels of metrics.
func EndpointFrom(ctx context.Context) (name string, ok bool) {
	c := callFrom(ctx)
	if c == nil || c.endpoint == nil {
		return "", false
	}
	return c.endpoint.name, true
}

type idempotencyKey struct{}

// WithIdempotencyKey returns a context with the idempotency key for one logical call,
// if its endpoint sends one. It is for a retry above the Gateway, and for a job that
// may run again.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// call makes a call and stores the value in what out points to. The body of the
// response has been read, or is the value. The error is not of type *Error, so that
// a nil one is nil.
func (e *plan) call(ctx context.Context, in reflect.Value, out any) (*http.Response, error) {
	observe := e.gateway.cfg.Observe
	if observe == nil {
		resp, err := e.do(ctx, in, out)
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
	begin := time.Now()
	resp, err := e.do(ctx, in, out)
	observed := false
	defer func() {
		if !observed && resp != nil { // Observe panicked, and nobody gets the stream
			resp.Body.Close()
		}
	}()
	event := Event{
		Kind: Ended, Name: e.gateway.cfg.Name, Endpoint: e.name, Method: e.binding.pattern.method, Elapsed: time.Since(begin),
	}
	if err != nil {
		event.Status, event.Cache, event.Err = err.Status, cacheStatusOf(err.Header), err
		observe(ctx, event)
		return nil, err
	}
	event.Status, event.Cache = resp.StatusCode, cacheStatusOf(resp.Header)
	observe(ctx, event)
	observed = true
	return resp, nil
}

var errUnfinished = &Error{} // of a call that user code has ended with a panic

func (e *plan) do(ctx context.Context, in reflect.Value, out any) (_ *http.Response, failure *Error) {
	c := &call{Context: ctx, gateway: e.gateway, endpoint: e}
	e.counts.inFlight.Add(1)
	failure = errUnfinished
	cancel := context.CancelFunc(func() {})
	if e.timeout > 0 {
		c.Context, cancel = context.WithTimeout(ctx, e.timeout)
	}
	streaming := false
	defer func() {
		if !streaming {
			cancel()
			e.counts.ended(c, failure)
		}
	}()
	req, err := e.request(c, in)
	if err != nil {
		return nil, c.fail(InvalidRequest, nil, err)
	}
	resp, err := e.gateway.client.Do(req)
	if err != nil {
		return nil, c.noResponse(resp, err)
	}
	defer func() {
		if !streaming {
			resp.Body.Close()
		}
	}()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		if err := c.notCached(resp); err != nil {
			return nil, err
		}
		return nil, c.badStatus(resp)
	}
	if e.none || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusResetContent {
		drain(resp.Body)
		if e.stream {
			*out.(*io.ReadCloser) = http.NoBody // so that it can be closed
		}
		return resp, nil
	}
	if err := decompress(resp); err != nil {
		return nil, c.fail(Undecodable, resp, err)
	}
	if !e.accepts.match(resp.Header.Get("Content-Type")) {
		return nil, c.wrongType(resp)
	}
	if e.stream {
		streaming = true
		if e.limit > 0 {
			resp.Body = &limited{ReadCloser: resp.Body, left: e.limit, limit: e.limit}
		}
		resp.Body = &stream{ReadCloser: resp.Body, call: c, resp: resp, end: func(err *Error) {
			cancel()
			e.counts.ended(c, err)
		}}
		*out.(*io.ReadCloser) = resp.Body
		return resp, nil
	}
	data, err := readAll(resp, e.limit)
	if err != nil {
		return nil, c.broken(resp, err)
	}
	if err := e.unmarshal(data, out); err != nil {
		return nil, c.fail(Undecodable, resp, err)
	}
	if e.check != nil {
		if err := e.check(out); err != nil {
			return nil, c.unsuccessful(resp, data, err)
		}
	}
	return resp, nil
}
