package gateway

import (
	"encoding"
	"encoding/json"
	"fmt"
	"mime"
	"reflect"
	"slices"
	"strings"
)

const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
	formType    = "application/x-www-form-urlencoded"
	textType    = "text/plain; charset=utf-8"
	bytesType   = "application/octet-stream"
)

// A Codec encodes and decodes bodies. The zero value is JSON. A field that is not set
// is that of JSON.
//
//	gateway.Codec{ContentType: "application/xml", Marshal: xml.Marshal, Unmarshal: xml.Unmarshal}
type Codec struct {
	// ContentType is the content type of requests, and the value of Accept. A response
	// of this type is right, with any parameters. With application/json, so is any type
	// that ends in +json, and the same for other types.
	ContentType string

	// Accepts are more media types of responses that are right, for servers that label
	// their responses otherwise. "*/*" means any.
	Accepts []string

	// Marshal encodes the body of a request.
	Marshal func(v any) ([]byte, error)

	// Unmarshal decodes the body of a response into what v points to. It must not
	// keep data.
	Unmarshal func(data []byte, v any) error
}

// validate reports what is wrong with a part of EndpointConfig.
func (c *Codec) validate() error {
	if _, _, err := mime.ParseMediaType(c.contentType()); err != nil || !validValue(c.ContentType) || !strings.Contains(c.contentType(), "/") {
		return fmt.Errorf("EndpointConfig.Codec.ContentType is %q, want a media type", c.ContentType)
	}
	for _, m := range c.Accepts {
		if _, _, err := mime.ParseMediaType(m); err != nil || m != "*/*" && (!strings.Contains(m, "/") || strings.Contains(m, "*")) {
			return fmt.Errorf("EndpointConfig.Codec.Accepts has %q, want a media type, or */* for any", m)
		}
	}
	return nil
}

func (c *Codec) contentType() string {
	if c.ContentType == "" {
		return jsonType
	}
	return c.ContentType
}

func (c *Codec) marshal() func(any) ([]byte, error) {
	if c.Marshal == nil {
		return json.Marshal
	}
	return c.Marshal
}

func (c *Codec) unmarshal() func([]byte, any) error {
	if c.Unmarshal == nil {
		return json.Unmarshal
	}
	return c.Unmarshal
}

// mediaType returns the media type of a Content-Type, in lower case.
func mediaType(contentType string) string {
	m, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(m))
}

// accepts are media types that are right.
type accepts struct {
	any   bool
	exact []string
	main  string // "text/"
	not   string
	plus  string // "+json"
}

func acceptsOf(contentType string, more []string) accepts {
	a := accepts{exact: []string{mediaType(contentType)}}
	if _, sub, ok := strings.Cut(a.exact[0], "/"); ok {
		a.plus = "+" + sub
	}
	for _, m := range more {
		if a.exact = append(a.exact, mediaType(m)); mediaType(m) == "*/*" {
			a.any = true
		}
	}
	return a
}

func (a *accepts) match(contentType string) bool {
	if a.any || contentType == "" || contentType == a.exact[0] {
		return true
	}
	m := mediaType(contentType)
	if slices.Contains(a.exact, m) {
		return true
	}
	return a.plus != "" && strings.HasSuffix(m, a.plus) || a.main != "" && strings.HasPrefix(m, a.main) && m != a.not
}

// isJSON reports whether a media type is JSON, or unknown.
func isJSON(m string) bool { return m == "" || m == jsonType || strings.HasSuffix(m, "+json") }

var (
	jsonMarshalerType   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// jsonless reports whether there is no JSON for values of the kind of t.
func jsonless(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return true
	}
	return false
}

// neverJSON returns a type of which each value of t has one, and for which there is no
// JSON; or nil. What is nil at times does not count.
func neverJSON(t reflect.Type) reflect.Type {
	if p := reflect.PointerTo(t); p.Implements(jsonMarshalerType) || p.Implements(textMarshalerType) {
		return nil
	}
	switch t.Kind() {
	case reflect.Array:
		if t.Len() > 0 {
			return neverJSON(t.Elem())
		}
	case reflect.Map:
		switch k := t.Key(); {
		case k.Implements(textMarshalerType), k.Kind() == reflect.String, k.Kind() >= reflect.Int && k.Kind() <= reflect.Uintptr:
		default:
			return t
		}
	case reflect.Struct:
		for f := range t.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || !f.IsExported() || name == "-" && options == "" || strings.Contains(options, "omit") {
				continue
			}
			if bad := neverJSON(f.Type); bad != nil {
				return bad
			}
		}
	}
	if jsonless(t) {
		return t
	}
	return nil
}
