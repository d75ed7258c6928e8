package gateway

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
)

// decompress undoes a content coding that net/http has not undone.
func decompress(resp *http.Response) error {
	coding := resp.Header["Content-Encoding"]
	if len(coding) == 0 {
		return nil
	}
	switch strings.ToLower(strings.TrimSpace(strings.Join(coding, ","))) {
	case "", "identity":
		return nil
	case "gzip", "x-gzip":
		resp.Body = &gunzip{ReadCloser: resp.Body}
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength, resp.Uncompressed = -1, true
		return nil
	}
	return fmt.Errorf("the content coding is unknown")
}

// gunzip reads nothing before its first Read.
type gunzip struct {
	io.ReadCloser
	unzipped *gzip.Reader
	err      error
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.unzipped == nil && g.err == nil {
		g.unzipped, g.err = gzip.NewReader(g.ReadCloser)
	}
	if g.err != nil {
		return 0, g.err
	}
	return g.unzipped.Read(p)
}

func isCorrupt(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}

type tooLarge int64

func (n tooLarge) Error() string { return fmt.Sprintf("the body is larger than %d bytes", int64(n)) }

func isTooLarge(err error) bool {
	_, ok := err.(tooLarge)
	return ok
}

// readAll reads the body of resp, limit bytes at most, unless that is 0 or less.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	n := resp.ContentLength
	if limit > 0 && n > limit {
		return nil, tooLarge(limit)
	}
	const trusted = 64 << 10 // of what a server says before it has sent it
	if n < 0 {
		n = 512
	}
	data := make([]byte, 0, min(n, trusted)+1) // one more, to see the end
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		free := data[len(data):cap(data)]
		m, err := resp.Body.Read(free)
		data = data[:len(data)+m]
		if limit > 0 && int64(len(data)) > limit {
			return nil, tooLarge(limit)
		}
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// drain reads the rest of a body if that is short, so that its connection can be
// used again.
func drain(r io.Reader) {
	io.CopyN(io.Discard, r, 64<<10)
}

// checker is a value that knows whether the response that it was decoded from is
// one of success.
type checker interface{ CheckResponse() error }

var checkerType = reflect.TypeFor[checker]()

// checkOf returns what calls the CheckResponse of a value of type t, given a pointer
// to it, or nil if there is none. It looks at each pointer on the way to the value.
func checkOf(t reflect.Type) func(out any) error {
	for depth := 0; ; depth++ {
		if reflect.PointerTo(t).Implements(checkerType) {
			parts := embedded(t, nil)
			if depth == 0 && parts == nil {
				return func(out any) error { return out.(checker).CheckResponse() }
			}
			return func(out any) error { return checkBehind(reflect.ValueOf(out), depth, parts) }
		}
		if t.Kind() != reflect.Pointer {
			return nil
		}
		t = t.Elem()
	}
}

// embedded returns where t, a type within outer, embeds a pointer that may be the one
// whose CheckResponse it has. An outer pointer comes before those in it.
func embedded(t reflect.Type, index []int, outer ...reflect.Type) (parts [][]int) {
	if t.Kind() != reflect.Struct {
		return nil
	}
	outer = append(slices.Clip(outer), t)
	for i := range t.NumField() {
		f := t.Field(i)
		inner := f.Type
		if f.Type.Kind() == reflect.Pointer {
			inner = f.Type.Elem()
		}
		if !f.Anonymous || !f.IsExported() || !reflect.PointerTo(inner).Implements(checkerType) || slices.Contains(outer, inner) {
			continue
		}
		at := append(slices.Clone(index), i)
		if inner != f.Type {
			parts = append(parts, at)
		}
		parts = append(parts, embedded(inner, at, outer...)...)
	}
	return parts
}

// checkBehind calls the CheckResponse of what is behind depth pointers. What the response
// has left nil on the way counts as the zero value: its absence is no success.
func checkBehind(v reflect.Value, depth int, parts [][]int) error {
	for range depth {
		if v = v.Elem(); v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
	}
	for _, index := range parts {
		if p := v.Elem().FieldByIndex(index); p.IsNil() {
			p.Set(reflect.New(p.Type().Elem()))
		}
	}
	c, _ := reflect.TypeAssert[checker](v)
	return c.CheckResponse()
}

// stream is the body of a response that its caller reads. The call ends when the body
// does, or when it is closed.
type stream struct {
	io.ReadCloser
	call  *call
	resp  *http.Response
	end   func(*Error)
	ended atomic.Bool
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	switch err {
	case nil:
		return n, nil
	case io.EOF:
		s.ends(nil)
		return n, io.EOF
	}
	e := s.call.broken(s.resp, err)
	s.ends(e)
	return n, e
}

func (s *stream) Close() error {
	defer s.ends(nil)
	return s.ReadCloser.Close()
}

func (s *stream) ends(err *Error) {
	if !s.ended.Swap(true) {
		s.end(err)
	}
}

// limited is a stream that may not be longer than limit.
type limited struct {
	io.ReadCloser
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, tooLarge(l.limit)
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, tooLarge(l.limit)
	}
	return n, err
}
