package gateway

import (
	"encoding"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// encoder appends the text of a value.
type encoder func(b []byte, v reflect.Value) ([]byte, error)

var errNil = errors.New("is nil")

var textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()

// encoderOf returns the encoder for values of type t.
func encoderOf(t reflect.Type) (encoder, error) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return encodeTime, nil
	case t == reflect.TypeFor[time.Duration]():
		return func(b []byte, v reflect.Value) ([]byte, error) {
			return append(b, time.Duration(v.Int()).String()...), nil
		}, nil
	case t.Kind() == reflect.Pointer && !t.Implements(textMarshalerType):
		elem, err := encoderOf(t.Elem())
		if err != nil {
			return nil, err
		}
		return func(b []byte, v reflect.Value) ([]byte, error) {
			if v.IsNil() {
				return b, errNil
			}
			return elem(b, v.Elem())
		}, nil
	case t.Implements(textMarshalerType):
		return encodeText, nil
	case reflect.PointerTo(t).Implements(textMarshalerType):
		return func(b []byte, v reflect.Value) ([]byte, error) {
			p := reflect.New(t)
			p.Elem().Set(v)
			return encodeText(b, p)
		}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return func(b []byte, v reflect.Value) ([]byte, error) { return append(b, v.String()...), nil }, nil
	case reflect.Bool:
		return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendBool(b, v.Bool()), nil }, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendInt(b, v.Int(), 10), nil }, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendUint(b, v.Uint(), 10), nil }, nil
	case reflect.Float32, reflect.Float64:
		bits := t.Bits()
		return func(b []byte, v reflect.Value) ([]byte, error) {
			return strconv.AppendFloat(b, v.Float(), 'g', -1, bits), nil
		}, nil
	}
	return nil, fmt.Errorf("the type %v has no text form", t)
}

func encodeTime(b []byte, v reflect.Value) ([]byte, error) {
	t, ok := reflect.TypeAssert[time.Time](v)
	if !ok {
		return b, errNil
	}
	return t.AppendFormat(b, time.RFC3339Nano), nil
}

func encodeText(b []byte, v reflect.Value) ([]byte, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return b, errNil
	}
	if a, ok := reflect.TypeAssert[encoding.TextAppender](v); ok {
		b, err := a.AppendText(b)
		return b, unencodable(err)
	}
	m, _ := reflect.TypeAssert[encoding.TextMarshaler](v)
	text, err := m.MarshalText()
	return append(b, text...), unencodable(err)
}

func unencodable(err error) error {
	if err != nil {
		err = fmt.Errorf("cannot be encoded: %w", err)
	}
	return err
}

// isEmpty reports whether omitempty leaves v out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

// isNil reports whether v is a pointer or interface without a value.
func isNil(v reflect.Value) bool {
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil()
}

// validName reports whether s is a token (RFC 9110, section 5.6.2).
func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// validValue reports whether s can be the value of a header field.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// forbidden reports whether a header field is set by net/http only.
func forbidden(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Te":
		return true
	}
	return false
}

const upperHex = "0123456789ABCDEF"
