package gateway

import (
	"fmt"
	"io"
	"net/url"
	"reflect"
)

// bodyOf makes a body from a value. Its errors continue the sentence "the body ...".
type bodyOf func(reflect.Value) (body, error)

var (
	readerType    = reflect.TypeFor[io.Reader]()
	multipartType = reflect.TypeFor[Multipart]()
	valuesType    = reflect.TypeFor[url.Values]()
)

// isBody reports whether t is a body, even if it is a struct with fields.
func isBody(t reflect.Type) bool { return t.Implements(readerType) }

func bodyOfType(t reflect.Type, codec Codec) (bodyOf, error) {
	switch {
	case isBody(t):
		return func(v reflect.Value) (body, error) {
			if isNil(v) {
				return body{}, nil
			}
			r, _ := reflect.TypeAssert[io.Reader](v)
			return readerBody(r, bytesType), nil
		}, nil
	case t == multipartType:
		return func(v reflect.Value) (body, error) {
			m, _ := reflect.TypeAssert[Multipart](v)
			return m.body()
		}, nil
	case codec.Marshal != nil:
	case t == valuesType:
		return func(v reflect.Value) (body, error) {
			values, _ := reflect.TypeAssert[url.Values](v)
			return bytesBody([]byte(values.Encode()), formType), nil
		}, nil
	case t.Kind() == reflect.String && !t.Implements(textMarshalerType):
		return func(v reflect.Value) (body, error) { return bytesBody([]byte(v.String()), textType), nil }, nil
	case t == reflect.TypeFor[[]byte]():
		return func(v reflect.Value) (body, error) { return bytesBody(v.Bytes(), bytesType), nil }, nil
	}
	value := t
	for value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	switch bad := neverJSON(value); {
	case bad == nil || codec.Marshal != nil:
	case bad == value:
		return nil, fmt.Errorf("has the type %v, which cannot be a body", t)
	default:
		return nil, fmt.Errorf("has the type %v with a %v, for which there is no JSON", t, bad)
	}
	marshal, contentType := codec.marshal(), codec.contentType()
	return func(v reflect.Value) (body, error) {
		if v.CanAddr() {
			v = v.Addr() // so that MarshalJSON on a pointer is found
		}
		text, err := marshal(v.Interface())
		if err != nil {
			return body{}, unencodable(err)
		}
		return bytesBody(text, contentType), nil
	}, nil
}
