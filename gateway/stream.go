package gateway

import (
	"io"
	"net/http"
	"sync/atomic"
)

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
