package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// None is a Req without parameters and body, or a Resp whose body is not read.
type None struct{}

// binding says how a Req becomes a request. It does not change after it was made.
type binding struct {
	pattern   pattern
	pointer   bool     // Req is a pointer
	fields    []field  // of query, header and form
	path      []*field // in the order of pattern.names
	body      *field   // nil for none
	bodyOf    bodyOf   // of body
	hasQuery  bool
	hasForm   bool
	multipart bool
}

// A field of Req, or Req itself.
type field struct {
	index     []int // nil: Req itself
	place     string
	name      string
	encode    encoder // of an element, if it is a slice
	slice     bool
	omitempty bool
	comma     bool
}

var places = []string{"path", "query", "header", "form", "body"}

func newBinding(p pattern, t reflect.Type, codec Codec) (*binding, error) {
	b := &binding{pattern: p, path: make([]*field, len(p.names()))}
	whole := t
	if t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && !isBody(t) {
		b.pointer, t = true, t.Elem()
	}
	var errs []error
	switch {
	case t.Kind() == reflect.Struct && !isBody(whole) && hasTags(t):
		errs = b.structure(t, nil, codec)
	case t == reflect.TypeFor[None]() || t.Kind() == reflect.Struct && t.NumField() == 0:
	case len(b.path) == 1 && t.Kind() != reflect.Struct:
		errs = append(errs, b.add(&field{place: "path", name: p.names()[0]}, whole, codec))
	default:
		b.pointer = false
		if err := b.add(&field{place: "body"}, whole, codec); err != nil {
			errs = append(errs, fmt.Errorf("the body %w", err))
		}
	}
	for i, name := range p.names() {
		if b.path[i] == nil {
			errs = append(errs, fmt.Errorf("no part of %v is bound to {%s}", whole, name))
		}
	}
	if b.body != nil && b.hasForm {
		errs = append(errs, fmt.Errorf("%v has both a form and a body", whole))
	}
	if (b.body != nil || b.hasForm) && (p.method == http.MethodGet || p.method == http.MethodHead || p.method == http.MethodTrace) {
		err := fmt.Errorf("%v has a body, and a %s has none", whole, p.method)
		if b.body != nil && b.body.index == nil {
			err = fmt.Errorf(`%w; tags of a struct, such as query:"page", say where its fields go`, err)
		}
		errs = append(errs, err)
	}
	if b.multipart && slices.ContainsFunc(b.fields, func(x field) bool { return x.place == "header" && x.name == "Content-Type" }) {
		errs = append(errs, fmt.Errorf("%v sets the Content-Type of a Multipart, which has its own", whole))
	}
	return b, errors.Join(errs...)
}

func tagOf(f reflect.StructField) (place, tag string, n int) {
	for _, p := range places {
		if v, ok := f.Tag.Lookup(p); ok {
			place, tag = p, v
			n++
		}
	}
	return place, tag, n
}

func isEmbedded(f reflect.StructField) bool {
	_, _, n := tagOf(f)
	return f.Anonymous && f.Type.Kind() == reflect.Struct && n == 0
}

func hasTags(t reflect.Type) bool {
	for f := range t.Fields() {
		if _, _, n := tagOf(f); n > 0 || isEmbedded(f) && hasTags(f.Type) {
			return true
		}
	}
	return false
}

func (b *binding) structure(t reflect.Type, index []int, codec Codec) (errs []error) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		place, tag, n := tagOf(f)
		if isEmbedded(f) {
			errs = append(errs, b.structure(f.Type, at, codec)...)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		var err error
		switch {
		case n == 0 && !f.IsExported():
			continue
		case n == 0:
			err = errors.New(`has no tag; query:"-" leaves it out`)
		case n > 1:
			err = errors.New("has several tags")
		case name == "-" && options == "":
			continue
		case !f.IsExported():
			err = errors.New("is not exported")
		case name == "" && place != "body":
			err = errors.New("has a tag without a name")
		case name != "" && place == "body":
			err = errors.New(`has a name in its tag, want body:""`)
		default:
			x := &field{index: at, place: place, name: name}
			for option := range strings.SplitSeq(options, ",") {
				switch option {
				case "":
				case "omitempty":
					x.omitempty = true
				case "comma":
					x.comma = true
				default:
					err = fmt.Errorf("has an unknown option %q", option)
				}
			}
			if err == nil {
				err = b.add(x, f.Type, codec)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("field %v.%s %w", t, f.Name, err))
		}
	}
	return errs
}

// add binds a field of type t.
func (b *binding) add(x *field, t reflect.Type, codec Codec) (err error) {
	if x.place == "body" {
		switch {
		case b.body != nil:
			return errors.New("is a body, as another field is")
		case x.comma:
			return errors.New("is the body, and cannot have the option comma")
		}
		b.body, b.multipart = x, t == multipartType
		b.bodyOf, err = bodyOfType(t, codec)
		return err
	}
	if x.place == "path" {
		i := slices.Index(b.pattern.names(), x.name)
		switch {
		case i < 0:
			return fmt.Errorf("is bound to {%s}, which is not in the pattern", x.name)
		case b.path[i] != nil:
			return fmt.Errorf("is bound to {%s}, as another field is", x.name)
		case x.omitempty || x.comma:
			return errors.New("is part of the path, and cannot have an option")
		}
		b.path[i] = x
		x.encode, err = encoderOf(t)
		return err
	}
	if t.Kind() == reflect.Slice && !t.Implements(textMarshalerType) {
		x.slice, t = true, t.Elem()
	} else if x.comma {
		return errors.New("is not a slice, and cannot have the option comma")
	}
	if x.encode, err = encoderOf(t); err != nil {
		return err
	}
	if x.place == "header" {
		if x.name = http.CanonicalHeaderKey(x.name); !validName(x.name) || forbidden(x.name) {
			return fmt.Errorf("is bound to the header field %q, which cannot be set", x.name)
		}
	}
	if slices.ContainsFunc(b.fields, func(y field) bool { return x.place == y.place && x.name == y.name }) {
		return fmt.Errorf("is bound to %s %q, as another field is", x.place, x.name)
	}
	b.hasQuery = b.hasQuery || x.place == "query"
	b.hasForm = b.hasForm || x.place == "form"
	b.fields = append(b.fields, *x)
	return nil
}
