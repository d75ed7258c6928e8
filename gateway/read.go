package gateway

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
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

// drain reads the rest of a body if that is short, so that its connection can be
// used again.
func drain(r io.Reader) {
	io.CopyN(io.Discard, r, 64<<10)
}

// checker is a value that knows whether the response that it was decoded from is
// one of success.
type checker interface{ CheckResponse() error }

// checkOf returns what calls the CheckResponse of a value of type t, given a pointer
// to it, or nil if there is none. It looks at each pointer on the way to the value.
func checkOf(t reflect.Type) func(out any) error {
	checkerType := reflect.TypeFor[checker]()
	for depth := 0; ; depth++ {
		if p := reflect.PointerTo(t); p.Implements(checkerType) {
			if depth == 0 {
				return func(out any) error { return out.(checker).CheckResponse() }
			}
			return func(out any) error { return checkBehind(reflect.ValueOf(out), depth) }
		}
		if t.Kind() != reflect.Pointer {
			return nil
		}
		t = t.Elem()
	}
}

// checkBehind calls the CheckResponse of what is behind depth pointers, if none is nil.
func checkBehind(v reflect.Value, depth int) error {
	for range depth {
		if v = v.Elem(); v.IsNil() {
			return nil
		}
	}
	c, _ := reflect.TypeAssert[checker](v)
	return c.CheckResponse()
}
