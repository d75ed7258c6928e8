package gateway

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpbody"
)

// call makes a call and stores the value in what out points to. The response's body
// has been read, or is the value. (The error is not of type *Error, so that nil is
// nil.)
func (e *plan) call(ctx context.Context, in reflect.Value, out any) (*http.Response, error) {
	observe := e.gateway.cfg.Observe
	if observe == nil {
		resp, err := e.do(ctx, in, out)
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
	begin := time.Now()
	resp, err := e.do(ctx, in, out)
	event := Event{Kind: Ended, Endpoint: e.name, Method: e.binding.pattern.method, Elapsed: time.Since(begin), Err: err}
	if err != nil {
		event.Status = err.Status
		observe(ctx, event)
		return nil, err
	}
	event.Status = resp.StatusCode
	observe(ctx, event)
	return resp, nil
}

func (e *plan) do(ctx context.Context, in reflect.Value, out any) (*http.Response, *Error) {
	c := &call{Context: ctx, gateway: e.gateway, endpoint: e}
	cancel := context.CancelFunc(func() {})
	if e.timeout > 0 {
		c.Context, cancel = context.WithTimeout(ctx, e.timeout)
	}
	streaming := false
	defer func() {
		if !streaming {
			cancel()
		}
	}()
	req, err := e.request(c, in)
	if err != nil {
		return nil, c.fail(InvalidRequest, nil, err)
	}
	resp, err := e.gateway.client.Do(req)
	if err != nil {
		return nil, c.noResponse(resp, err)
	}
	defer func() {
		if !streaming {
			resp.Body.Close()
		}
	}()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, c.badStatus(resp)
	}
	if e.none || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusResetContent {
		drain(resp.Body)
		return resp, nil
	}
	if err := decompress(resp); err != nil {
		return nil, c.fail(Undecodable, resp, err)
	}
	if !e.accepts.match(resp.Header.Get("Content-Type")) {
		return nil, c.wrongType(resp)
	}
	if e.stream {
		streaming = true
		httpbody.Track(resp, func(error) { cancel() })
		if e.limit > 0 {
			resp.Body = &limited{ReadCloser: resp.Body, left: e.limit, limit: e.limit}
		}
		*out.(*io.ReadCloser) = resp.Body
		return resp, nil
	}
	data, err := readAll(resp, e.limit)
	switch {
	case err == nil:
	case isTooLarge(err):
		return nil, c.fail(TooLarge, resp, err)
	case isCorrupt(err):
		return nil, c.fail(Undecodable, resp, err)
	default:
		return nil, c.fail(Incomplete, resp, err)
	}
	if err := e.unmarshal(data, out); err != nil {
		return nil, c.fail(Undecodable, resp, err)
	}
	return resp, nil
}

// noResponse returns the Error for one of http.Client, which comes with a
// response if a redirect was refused.
func (c *call) noResponse(resp *http.Response, err error) *Error {
	if u, ok := err.(*url.Error); ok {
		err = u.Err // the rest of it is the URL, with the query
	}
	kind := NoResponse
	switch marked := err.(type) {
	case *redirectError:
		kind, err = BadRedirect, marked.error
	case *authError:
		kind, err = NoCredentials, marked.error
	}
	return c.fail(kind, resp, err)
}

// decompress undoes the content codings that net/http has left.
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

// gunzip begins to read when it is read, not before.
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
