package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
)

var errNilRequest = errors.New("the value of Req is a nil pointer")

// request makes the request of a call. On an error the body is closed.
func (e *plan) request(c *call, in reflect.Value) (req *http.Request, err error) {
	b := e.binding
	if b.pointer {
		if in.IsNil() {
			return nil, errNilRequest
		}
		in = in.Elem()
	}
	header := make(http.Header, len(e.header)+3)
	maps.Copy(header, e.header)
	var content body
	if b.body != nil {
		if v := b.body.of(in); !b.body.omitempty || !isEmpty(v) {
			if content, err = b.bodyOf(v); err != nil {
				return nil, fmt.Errorf("the body %w", err)
			}
		}
		defer func() {
			if req == nil && content.reader != nil { // an error, or a panic of a marshaler
				content.reader.Close()
			}
		}()
	}
	u := &url.URL{Scheme: e.gateway.base.Scheme, Host: e.gateway.base.Host}
	if err := e.setPath(u, in); err != nil {
		return nil, err
	}
	if b.hasQuery {
		if u.RawQuery, err = b.form(in, "query"); err != nil {
			return nil, err
		}
	}
	if err := b.setHeader(header, in); err != nil {
		return nil, err
	}
	if b.hasForm {
		form, err := b.form(in, "form")
		if err != nil {
			return nil, err
		}
		content, c.form = bytesBody([]byte(form), formType), form
	}
	if e.idempotencyKey {
		key, ok := c.Value(idempotencyKey{}).(string)
		if !ok {
			key = rand.Text()
		} else if key == "" || !validValue(key) {
			return nil, errors.New("the idempotency key is not valid")
		}
		header["Idempotency-Key"] = []string{key}
	}
	if content.reader != nil && content.contentType != "" && header["Content-Type"] == nil {
		header["Content-Type"] = []string{content.contentType}
	}
	req = (&http.Request{
		Method: b.pattern.method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(c)
	if content.reader != nil {
		content = content.within(c)
		req.Body, req.ContentLength, req.GetBody = content.reader, content.length, content.again
	}
	c.own, c.query = req, u.RawQuery
	return req, nil
}

func (x *field) of(in reflect.Value) reflect.Value {
	for _, i := range x.index {
		in = in.Field(i)
	}
	return in
}

func (e *plan) setPath(u *url.URL, in reflect.Value) (err error) {
	if len(e.binding.path) == 0 {
		u.Path, u.RawPath = e.path, e.rawPath
		return nil
	}
	var buf [128]byte
	path := append(buf[:0], e.gateway.path...)
	i := 0
	for _, x := range e.binding.pattern.parts {
		if x.name == "" {
			path = append(path, x.text...)
			continue
		}
		f := e.binding.path[i]
		i++
		var value string
		if v := f.of(in); v.Kind() == reflect.String && v.Type().NumMethod() == 0 {
			value = v.String()
		} else if t, err := f.encode(nil, v); err != nil {
			return fmt.Errorf("the path value {%s} %w", x.name, err)
		} else {
			value = string(t)
		}
		if path, err = appendValue(path, value, x.rest); err != nil {
			return fmt.Errorf("the path value {%s} %w", x.name, err)
		}
	}
	u.Path, u.RawPath = decodePath(string(path))
	return nil
}

// form returns the fields of a place in the encoding of a query.
func (b *binding) form(in reflect.Value, place string) (string, error) {
	var text, buf [128]byte
	out := buf[:0]
	err := b.each(in, place, text[:0], func(name string, value []byte) error {
		if len(out) > 0 {
			out = append(out, '&')
		}
		out = append(appendQuery(out, name), '=')
		out = appendQuery(out, value)
		return nil
	})
	return string(out), err
}

func (b *binding) setHeader(header http.Header, in reflect.Value) error {
	var replaced map[string]bool
	return b.each(in, "header", nil, func(name string, value []byte) error {
		v := string(value)
		if !validValue(v) {
			return errControl
		}
		if !replaced[name] { // the first value replaces those of Config.Header
			if replaced == nil {
				replaced = map[string]bool{}
			}
			replaced[name] = true
			header[name] = []string{v}
			return nil
		}
		header[name] = append(header[name], v)
		return nil
	})
}

// each calls set for each value of the fields of a place, in their order. text is
// scratch space.
func (b *binding) each(in reflect.Value, place string, text []byte, set func(name string, value []byte) error) error {
	for i := range b.fields {
		x := &b.fields[i]
		if x.place != place {
			continue
		}
		v := x.of(in)
		if x.omitempty && isEmpty(v) || isNil(v) {
			continue
		}
		if err := x.each(v, text, set); err != nil {
			return fmt.Errorf("the %s value %q %w", place, x.name, err)
		}
	}
	return nil
}

func (x *field) each(v reflect.Value, text []byte, set func(name string, value []byte) error) (err error) {
	if !x.slice {
		if text, err = x.encode(text, v); err != nil {
			return err
		}
		return set(x.name, text)
	}
	for i := range v.Len() {
		if !x.comma {
			text = text[:0]
		} else if i > 0 {
			text = append(text, ',')
		}
		if text, err = x.encode(text, v.Index(i)); err != nil {
			return err
		}
		if !x.comma {
			if err := set(x.name, text); err != nil {
				return err
			}
		}
	}
	if x.comma && v.Len() > 0 {
		return set(x.name, text)
	}
	return nil
}

// appendQuery appends what url.QueryEscape returns for s.
func appendQuery[T string | []byte](b []byte, s T) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z', c == '-' || c == '.' || c == '_' || c == '~':
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}
