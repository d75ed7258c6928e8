package gateway

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
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
