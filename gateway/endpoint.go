package gateway

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
)

// A Response is what [Endpoint.CallResponse] returns.
type Response[T any] struct {
	Value  T           // the decoded body
	Status int         // 2xx
	Header http.Header // of the response
}

// Cache returns what a cache had to do with the response. The field Cache-Status of
// Header says more, such as when the response becomes stale.
func (r Response[T]) Cache() CacheStatus { return cacheStatusOf(r.Header) }

// An Endpoint is one operation of the external system. It is safe for concurrent use.
// Make it with [NewEndpoint].
type Endpoint[Req, Resp any] struct{ plan plan }

// NewEndpoint returns the endpoint of g with a pattern such as "GET /users/{name}".
// It panics if the pattern is malformed or does not fit the tags of Req, if cfg is not
// valid, or if a value of Req can never be sent, or one of Resp never be decoded. All
// this is part of the program, as the patterns of [http.ServeMux] are.
func NewEndpoint[Req, Resp any](g *Gateway, pattern string, cfg EndpointConfig) *Endpoint[Req, Resp] {
	if g == nil {
		panic(fmt.Sprintf("gateway: NewEndpoint(%q): the Gateway is nil; New returns none with an error", pattern))
	}
	e := &Endpoint[Req, Resp]{}
	if err := e.plan.prepare(g, pattern, cfg, reflect.TypeFor[Req](), reflect.TypeFor[Resp]()); err != nil {
		panic(fmt.Sprintf("gateway: NewEndpoint(%q): %v", pattern, err))
	}
	return e
}

// Call makes one call and returns the value of the response. Every error is an
// [*Error]. Nothing is sent if its Kind is InvalidRequest, NoCredentials or Refused,
// or if ctx has ended already. Call has the shape that retry.Wrap, breaker.Wrap and
// facade.Step take.
func (e *Endpoint[Req, Resp]) Call(ctx context.Context, in Req) (Resp, error) {
	r, err := e.CallResponse(ctx, in)
	return r.Value, err
}

// CallResponse is [Endpoint.Call], and also returns the status and the header.
func (e *Endpoint[Req, Resp]) CallResponse(ctx context.Context, in Req) (Response[Resp], error) {
	var r Response[Resp]
	resp, err := e.plan.call(ctx, reflect.ValueOf(&in).Elem(), &r.Value)
	if err != nil {
		var zero Response[Resp]
		return zero, err
	}
	r.Status, r.Header = resp.StatusCode, resp.Header
	return r, nil
}

// String returns the endpoint's name.
func (e *Endpoint[Req, Resp]) String() string { return e.plan.name }

// GoString returns what String does, so that %#v shows no secrets.
func (e *Endpoint[Req, Resp]) GoString() string { return e.plan.name }
