package gateway

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"time"
)

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
