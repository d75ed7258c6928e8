package gateway

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"time"
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

// plan is what an Endpoint prepares when it is made.
type plan struct {
	gateway        *Gateway
	name           string
	counts         *counts
	binding        *binding
	path, rawPath  string // if it has no wildcards
	header         http.Header
	timeout        time.Duration // 0: none
	limit          int64         // of the body of a response; 0 or less: none
	stream         bool
	none           bool
	accepts        accepts
	unmarshal      func([]byte, any) error
	check          func(any) error // nil: none
	idempotencyKey bool
	idempotent     bool
}

func (e *plan) prepare(g *Gateway, pattern string, cfg EndpointConfig, in, out reflect.Type) error {
	p, err := parsePattern(pattern)
	if err != nil {
		return err
	}
	if err := cfg.Codec.validate(); err != nil {
		return err
	}
	if e.binding, err = newBinding(p, in, cfg.Codec); err != nil {
		return err
	}
	e.gateway, e.name = g, cmp.Or(cfg.Name, pattern)
	if len(p.names()) == 0 {
		e.path, e.rawPath = decodePath(g.path + p.parts[0].text)
	}
	e.timeout = max(0, cmp.Or(cfg.Timeout, g.cfg.Timeout))
	e.idempotencyKey = cfg.IdempotencyKey
	switch p.method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace, "QUERY":
		e.idempotent = true
	}
	accept := e.response(out, cfg, g.cfg.MaxResponseBytes)
	if err := e.decodable(out, cfg.Codec); err != nil {
		return err
	}
	if p.method == http.MethodHead && !e.none {
		return fmt.Errorf("the response to a HEAD has no body for a %v; want None", out)
	}
	e.header = g.cfg.Header.Clone()
	if accept != "" && e.header["Accept"] == nil {
		if e.header == nil {
			e.header = http.Header{}
		}
		e.header["Accept"] = []string{accept}
	}
	e.counts = g.countsOf(e.name)
	return nil
}

// response prepares for a Resp of type t. It returns the value of Accept, "" for
// anything.
func (e *plan) response(t reflect.Type, cfg EndpointConfig, limit int64) (accept string) {
	e.limit = cmp.Or(cfg.MaxResponseBytes, limit)
	codec := cfg.Codec
	e.accepts = acceptsOf("*/*", []string{"*/*"})
	switch {
	case t == reflect.TypeFor[None]():
		e.none = true
		return ""
	case t == reflect.TypeFor[io.ReadCloser]():
		e.stream, e.limit = true, cfg.MaxResponseBytes
		return ""
	case codec.Unmarshal != nil:
	case t == reflect.TypeFor[[]byte]():
		e.unmarshal = func(data []byte, v any) error { *v.(*[]byte) = data; return nil }
		return ""
	case t == reflect.TypeFor[string]():
		e.unmarshal = func(data []byte, v any) error { *v.(*string) = string(data); return nil }
		e.accepts = acceptsOf("text/plain", codec.Accepts)
		e.accepts.main, e.accepts.not = "text/", "text/html"
		return "text/plain"
	case t == valuesType:
		e.unmarshal = func(data []byte, v any) (err error) {
			*v.(*url.Values), err = url.ParseQuery(string(data))
			return err
		}
		e.accepts = acceptsOf(formType, codec.Accepts)
		return formType
	}
	e.unmarshal, e.check = codec.unmarshal(), checkOf(t)
	e.accepts = acceptsOf(codec.contentType(), codec.Accepts)
	return codec.contentType()
}

// decodable reports why no response can ever be decoded into a Resp of type t.
func (e *plan) decodable(t reflect.Type, codec Codec) error {
	if e.none || e.stream {
		return nil
	}
	if t.Kind() == reflect.Interface && t.NumMethod() > 0 {
		return fmt.Errorf("the interface %v cannot be decoded into; a stream is an io.ReadCloser", t)
	}
	value := t
	for value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if m, ok := reflect.PointerTo(value).MethodByName("CheckResponse"); ok && e.check == nil {
		return fmt.Errorf("the method CheckResponse of %v is a %v, want func() error", value, m.Type)
	}
	if p := reflect.PointerTo(value); codec.Unmarshal == nil && jsonless(value) && !p.Implements(jsonUnmarshalerType) && !p.Implements(textUnmarshalerType) {
		return fmt.Errorf("JSON cannot be decoded into a %v", value)
	}
	return nil
}
