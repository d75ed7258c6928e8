package httpbody

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// A Stopwatch is the body of a response and measures how long its reads wait. So it
// tells, when a deadline has ended the body, whose time that was. It is a part of
// something that is allocated anyway.
type Stopwatch struct {
	io.ReadCloser
	epoch  time.Time
	began  time.Duration // when the headers came
	latest time.Duration // how long the last read has waited
	waited time.Duration // how long all have
	events bool
}

// Watch puts s around the body of resp, of which the headers have just come.
func (s *Stopwatch) Watch(resp *http.Response, epoch time.Time) {
	if _, ok := resp.Body.(io.Writer); ok || resp.Body == http.NoBody || resp.Body == nil {
		return // it does not break off
	}
	s.ReadCloser, s.epoch, s.began = resp.Body, epoch, time.Since(epoch)
	s.events = strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	resp.Body = s
}

// Read implements [io.Reader].
func (s *Stopwatch) Read(p []byte) (int, error) {
	since := time.Since(s.epoch)
	n, err := s.ReadCloser.Read(p)
	s.latest = time.Since(s.epoch) - since
	s.waited += s.latest
	return n, err
}

// Slow reports, when a read has just failed, whether the body has ended late through the
// backend: its reads have waited for at least half of the time since the headers. If not,
// the caller did something else in between. A stream of events (text/event-stream) has no
// end that could be late, so there it is the last read that counts: whether the backend
// was silent.
func (s *Stopwatch) Slow() bool {
	waited := s.waited
	if s.events {
		waited = s.latest
	}
	return waited >= (time.Since(s.epoch)-s.began)/2
}

// OutOfTime reports whether ctx has ended, or is about to: who cuts off a request at its
// deadline may be faster.
func OutOfTime(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
