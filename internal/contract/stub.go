package contract

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// stub is a base that answers by calling a function, with the number of the
// call, from 1. Like any RoundTripper it closes the request's body, when the
// function has returned.
type stub struct {
	calls  atomic.Int64
	answer func(n int, r *http.Request) (*http.Response, error)
}

func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	return s.answer(int(s.calls.Add(1)), r)
}

// stubbed wraps a stub.
func (c *check) stubbed(answer func(n int, r *http.Request) (*http.Response, error)) (http.RoundTripper, *stub) {
	c.Helper()
	s := &stub{answer: answer}
	return c.wrap(s), s
}

// reply returns a response with a body.
func reply(r *http.Request, status int, body io.ReadCloser) *http.Response {
	return &http.Response{
		Status:        fmt.Sprintf("%03d %s", status, http.StatusText(status)),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header),
		Body:          body,
		ContentLength: -1,
		Request:       r,
	}
}

// text returns a response with a body of known length.
func text(r *http.Request, status int, body string) *http.Response {
	resp := reply(r, status, io.NopCloser(strings.NewReader(body)))
	resp.ContentLength = int64(len(body))
	return resp
}

// ok answers every request with 200 and "ok".
func ok(_ int, r *http.Request) (*http.Response, error) {
	return text(r, 200, "ok"), nil
}

// echo reads the request's body, then answers with its content.
func echo(_ int, r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return text(r, 200, ""), nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return text(r, 200, string(data)), nil
}

// address is where requests to stubs go. Nothing is ever sent there.
const address = "http://service.test"

// request returns a request. A body that NewRequest knows gets a length and a
// GetBody, one that is an io.ReadCloser gets neither.
func (c *check) request(method, url string, body io.Reader) *http.Request {
	c.Helper()
	return c.requestWith(c.Context(), method, url, body)
}

func (c *check) requestWith(ctx context.Context, method, url string, body io.Reader) *http.Request {
	c.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		c.Fatalf("NewRequest: %v", err)
	}
	return req
}

// get returns a request without a body to a stub.
func (c *check) get() *http.Request {
	c.Helper()
	return c.request("GET", address+"/resource", nil)
}

// post returns a request that nobody may send twice to a stub: its method is
// not idempotent, and its body cannot be had again.
func (c *check) post(body io.ReadCloser) *http.Request {
	c.Helper()
	return c.request("POST", address+"/orders", body)
}

// source is a request's body that watches how it is used.
type source struct {
	r io.Reader

	mu     sync.Mutex
	reads  int  // number of reads
	late   int  // of which after Close
	closes int  // number of closes
	atEOF  bool // whether a read has reported EOF
}

func newSource(content string) *source { return &source{r: strings.NewReader(content)} }

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	s.reads++
	if s.closes > 0 {
		s.late++
		s.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	s.mu.Unlock()
	n, err := s.r.Read(p)
	if err == io.EOF {
		s.mu.Lock()
		s.atEOF = true
		s.mu.Unlock()
	}
	return n, err
}

func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return nil
}

func (s *source) closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closes > 0
}

func (s *source) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.atEOF
}

func (s *source) counts() (reads, late int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.late
}

// wantClosed fails unless the body is closed by now, or will be soon.
func (c *check) wantClosed(s *source, when string) {
	c.Helper()
	c.soon(s.closed, "the body was not closed: %s", when)
}

// onRead is an empty reader that calls a function first.
type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

// pattern returns n bytes, at most 8 MiB, in which a piece that is lost,
// doubled or moved shows.
func pattern(n int) []byte { return numbers()[:n:n] }

var numbers = sync.OnceValue(func() []byte {
	const most = 8 << 20
	b := make([]byte, 0, most+16)
	for i := int64(0); len(b) < most; i++ {
		b = append(strconv.AppendInt(b, i, 10), ',')
	}
	return b
})
