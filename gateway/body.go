package gateway

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// body is what a request carries.
type body struct {
	reader      io.ReadCloser // nil: there is none
	length      int64         // 0 or less: not known
	again       func() (io.ReadCloser, error)
	contentType string
	foreign     bool // it is read from a reader of the caller's, which can hang
}

func bytesBody(text []byte, contentType string) body {
	b := body{reader: http.NoBody, contentType: contentType, again: func() (io.ReadCloser, error) { return http.NoBody, nil }}
	if len(text) > 0 {
		b.length = int64(len(text))
		b.again = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
		b.reader, _ = b.again()
	}
	return b
}

// readerBody sends r. If r can be read at any offset, it can be sent several times and
// is left open. Otherwise it is closed like any body of a request.
func readerBody(r io.Reader, contentType string) body {
	if r == http.NoBody {
		return bytesBody(nil, contentType)
	}
	if buf, ok := r.(*bytes.Buffer); ok {
		return bytesBody(buf.Bytes(), contentType)
	}
	if l, ok := r.(interface{ Len() int }); ok && l.Len() == 0 {
		return bytesBody(nil, contentType)
	}
	// Some files only seem to be empty, such as those in /proc.
	if at, n, ok := section(r); ok && n > 0 {
		again := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(at, at.begin, n)), nil }
		b := body{length: n, again: again, contentType: contentType, foreign: !inMemory(r)}
		b.reader, _ = again()
		return b
	}
	rc, ok := r.(io.ReadCloser)
	if !ok {
		rc = io.NopCloser(r)
	}
	return body{reader: rc, length: -1, contentType: contentType, foreign: true}
}

func inMemory(r io.Reader) bool {
	switch r.(type) {
	case *bytes.Reader, *strings.Reader:
		return true
	}
	return false
}

// sectionAt is a reader that can be read at any offset, and its present one.
type sectionAt struct {
	io.ReaderAt
	begin int64
}

// section returns the unread part of r, and its length.
func section(r io.Reader) (at sectionAt, n int64, ok bool) {
	at.ReaderAt, ok = r.(io.ReaderAt)
	s, seeks := r.(io.Seeker)
	if !ok || !seeks {
		return at, 0, false
	}
	var err error
	if at.begin, err = s.Seek(0, io.SeekCurrent); err != nil {
		return at, 0, false // a pipe
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return at, 0, false
	}
	if _, err = s.Seek(at.begin, io.SeekStart); err != nil {
		return at, 0, false
	}
	return at, max(0, end-at.begin), true
}

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

// Multipart is a body of the type multipart/form-data. Its parts are streamed in
// their order. If all contents can be read at any offset, as files and strings.Readers
// can, the length is known and the request can be repeated.
type Multipart []Part

// A Part is one field of a [Multipart].
type Part struct {
	Name        string    // of the field
	FileName    string    // "": the field is no file
	ContentType string    // "": application/octet-stream for a file, none for a field
	Content     io.Reader // nil: nothing
}

func (m Multipart) body() (body, error) {
	boundary := rand.Text()
	var parts []body
	length, repeatable, foreign := int64(0), true, false
	var problem error
	for i, p := range m {
		head, err := p.head(boundary, i)
		if err != nil {
			problem = err // after the loop, so that all contents are closed
		}
		content := bytesBody(nil, "")
		if p.Content != nil {
			content = readerBody(p.Content, "")
		}
		for _, b := range []body{bytesBody(head, ""), content} {
			parts = append(parts, b)
			repeatable = repeatable && b.again != nil
			foreign = foreign || b.foreign
			length += b.length
		}
	}
	end := "\r\n--" + boundary + "--\r\n"
	if len(m) == 0 {
		end = end[2:]
	}
	parts = append(parts, bytesBody([]byte(end), ""))
	length += int64(len(end))

	whole := body{reader: concat(parts), length: -1, contentType: "multipart/form-data; boundary=" + boundary, foreign: foreign}
	if problem != nil {
		whole.reader.Close()
		return body{}, problem
	}
	if repeatable {
		whole.length = length
		whole.again = func() (io.ReadCloser, error) {
			fresh := make([]body, len(parts))
			for i, p := range parts {
				fresh[i].reader, _ = p.again() // never an error
			}
			return concat(fresh), nil
		}
	}
	return whole, nil
}

var errBadPart = errors.New("has a part whose name or content type is not valid")

// head returns the boundary and the header of part number i.
func (p *Part) head(boundary string, i int) ([]byte, error) {
	if p.Name == "" || !validValue(p.ContentType) || strings.ContainsAny(p.Name+p.FileName, "\x00") {
		return nil, errBadPart
	}
	var b bytes.Buffer
	if i > 0 {
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, quoteField(p.Name))
	contentType := p.ContentType
	if p.FileName != "" {
		fmt.Fprintf(&b, "; filename=\"%s\"", quoteField(p.FileName))
		if contentType == "" {
			contentType = bytesType
		}
	}
	if contentType != "" {
		fmt.Fprintf(&b, "\r\nContent-Type: %s", contentType)
	}
	b.WriteString("\r\n\r\n")
	return b.Bytes(), nil
}

// quoteField escapes a name as browsers do (HTML, multipart/form-data encoding algorithm).
var quoteField = strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22").Replace

// concat returns a reader of bodies, one after the other.
func concat(parts []body) io.ReadCloser {
	c := &concatenation{parts: parts}
	readers := make([]io.Reader, len(parts))
	for i, p := range parts {
		readers[i] = p.reader
	}
	c.Reader = io.MultiReader(readers...)
	return c
}

type concatenation struct {
	io.Reader
	parts []body
}

// Close closes all parts.
func (c *concatenation) Close() error {
	var errs []error
	for _, p := range c.parts {
		errs = append(errs, p.reader.Close())
	}
	return errors.Join(errs...)
}
