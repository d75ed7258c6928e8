package breaker

import (
	"context"
	"io"
	"net/http"
	"time"
)

// A stopwatch is the body of a response and knows since when a read of it waits. So it
// tells, when a deadline has ended the body, whether the backend was silent.
type stopwatch struct {
	io.ReadCloser
	epoch          time.Time
	began, waiting time.Duration // when the headers came; and since when the last read waits
}

// watch puts s around the body of resp, of which the headers have just come.
func (s *stopwatch) watch(resp *http.Response, epoch time.Time) {
	if _, ok := resp.Body.(io.Writer); ok || resp.Body == http.NoBody {
		return // it does not break off
	}
	s.ReadCloser, s.epoch, s.began = resp.Body, epoch, time.Since(epoch)
	resp.Body = s
}

func (s *stopwatch) Read(p []byte) (int, error) {
	s.waiting = time.Since(s.epoch)
	return s.ReadCloser.Read(p)
}

// silent reports whether the read that has just failed has waited for at least half of
// the time since the headers. If not, the deadline says nothing about the backend: the
// caller did something else in between, or bytes were coming.
func (s *stopwatch) silent() bool {
	now := time.Since(s.epoch)
	return now-s.waiting >= (now-s.began)/2
}

// outOfTime reports whether ctx has ended, or is about to: who cuts off a request at its
// deadline may be faster.
func outOfTime(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
