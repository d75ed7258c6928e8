package retry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
)

var errBodyRead = errors.New("retry: the request's body has been read")

// memoryBody is the type of the bodies that http.NewRequest makes of the readers
// for which it sets GetBody.
var memoryBody = reflect.TypeOf(io.NopCloser(strings.NewReader("")))

// plainBody reports whether req has no body, or one that can be had again and does
// not fail to be read.
func plainBody(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody ||
		req.GetBody != nil && reflect.TypeOf(req.Body) == memoryBody
}

// reusable reports whether the body of req can be had again whatever happens to it.
func reusable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// watched is the body of a request in one attempt. It knows whether anybody has read
// from it, and whether that failed. With keep it stays open until somebody has, so
// that the next attempt can have it. The methods of a nil one know nothing.
type watched struct {
	io.ReadCloser

	mu     sync.Mutex
	keep   bool
	read   bool
	closed bool // by the attempt
	broken bool // a Read failed
	taken  bool // by the next attempt
}

// watch returns nil where there is nothing to be seen.
func watch(body io.ReadCloser, keep bool) *watched {
	if body == nil || body == http.NoBody || reflect.TypeOf(body) == memoryBody && !keep {
		return nil
	}
	return &watched{ReadCloser: body, keep: keep}
}

func (w *watched) Read(p []byte) (int, error) {
	if !w.begin() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.broken = w.broken || !w.closed
	}
	return n, err
}

func (w *watched) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.taken {
		return false
	}
	w.read = true
	return true
}

func (w *watched) Close() error {
	w.mu.Lock()
	w.closed = true
	kept := w.taken || w.keep && !w.read
	w.mu.Unlock()
	if kept {
		return nil
	}
	return w.ReadCloser.Close()
}

// untouched reports whether the body can be sent again.
func (w *watched) untouched() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keep && !w.read
}

// takeBack takes the body from its attempt, for the next one, if it is untouched.
func (w *watched) takeBack() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = w.keep && !w.read
	return w.taken
}

// release ends keep: no other attempt follows.
func (w *watched) release() {
	if w == nil {
		return
	}
	w.mu.Lock()
	late := w.keep && !w.read && w.closed && !w.taken
	w.keep = false
	w.mu.Unlock()
	if late {
		w.ReadCloser.Close()
	}
}

// failed reports whether the body could not be read.
func (w *watched) failed() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

// buffered returns req, or a copy of it whose body can be sent again.
func (t *Transport) buffered(req *http.Request) (*http.Request, error) {
	n := req.ContentLength
	if reusable(req) || n <= 0 || n > t.MaxBody ||
		req.Header.Get("Expect") != "" || req.Header.Get("Upgrade") != "" || req.Method == http.MethodConnect {
		return req, nil
	}
	data, err := io.ReadAll(io.LimitReader(req.Body, n+1))
	if err != nil || int64(len(data)) != n {
		if err == nil {
			err = fmt.Errorf("%d or more bytes", len(data))
		}
		req.Body.Close()
		return nil, fmt.Errorf("retry: Transport.MaxBody: a request's body of %d bytes: %w", n, err)
	}
	if err := req.Body.Close(); err != nil {
		return nil, fmt.Errorf("retry: Transport.MaxBody: closing a request's body: %w", err)
	}
	next := req.WithContext(req.Context())
	next.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	next.Body, _ = next.GetBody()
	return next, nil
}

func freshBody(req *http.Request) (io.ReadCloser, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, nil
	}
	if req.GetBody == nil {
		return nil, errBodyRead
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("retry: GetBody: %w", err)
	}
	return body, nil
}

func closeBody(body io.Closer) {
	if body != nil {
		body.Close()
	}
}

// spare is the body of a response that is given up for another attempt, and may be
// returned after all.
type spare struct {
	live io.ReadCloser
	kept *bytes.Reader // what was read of it; nil: read live
	end  error         // after that
}

const (
	parkBytes = 64 << 10
	parkTime  = 100 * time.Millisecond
)

// hold makes the body of resp a spare one.
func hold(resp *http.Response) *spare {
	if s, ok := resp.Body.(*spare); ok {
		return s
	}
	s := &spare{live: resp.Body}
	if resp.Body != nil && resp.Body != http.NoBody {
		resp.Body = s
	}
	return s
}

// park reads the body and closes it, so that its connection can be used again.
func (s *spare) park() {
	if s.live == nil || s.kept != nil {
		return
	}
	late := time.AfterFunc(parkTime, func() { s.live.Close() })
	defer late.Stop()
	var data bytes.Buffer
	_, s.end = io.CopyN(&data, s.live, parkBytes)
	if s.end == nil {
		s.end = io.ErrUnexpectedEOF
	}
	s.live.Close()
	s.kept = bytes.NewReader(data.Bytes())
}

func (s *spare) Read(p []byte) (int, error) {
	if s.kept == nil {
		return s.live.Read(p)
	}
	n, err := s.kept.Read(p)
	if err == io.EOF {
		err = s.end
	}
	return n, err
}

func (s *spare) Close() error {
	if s.kept == nil {
		return s.live.Close()
	}
	return nil
}
