package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/internal/httpbody"
)

// attempt sends req with body, hedged if that does no harm, on the loop's context.
func (t *Transport) attempt(l *loop, req *http.Request, body io.ReadCloser) (*http.Response, error) {
	switch {
	case t.Hedger != nil && repeatable(req) && len(req.Trailer) == 0 && t.idempotent(req):
		return t.hedge(l, req, body)
	case l.attempts == 0 && l.policy.cfg.AttemptTimeout == 0:
		return t.send(req)
	}
	return t.bounded(l.ctx, l.policy.cfg.AttemptTimeout, req, body)
}

// hedge sends req in a race.
func (t *Transport) hedge(l *loop, req *http.Request, body io.ReadCloser) (*http.Response, error) {
	if l.ctx.Err() != nil {
		if body != nil {
			body.Close()
		}
		return nil, context.Cause(l.ctx)
	}
	var taken atomic.Bool // body, by one of the attempts
	r := &race[*http.Response]{h: t.Hedger, parent: l.ctx}
	r.op = func(ctx context.Context) (*http.Response, error) {
		own := body
		if taken.Swap(true) {
			var err error
			if own, err = freshBody(req); err != nil {
				return nil, fmt.Errorf("retry: GetBody: %w", err)
			}
		}
		resp, err := t.bounded(ctx, l.policy.cfg.AttemptTimeout, req, own)
		if err == nil && t.bad(resp) {
			err = &statusError{resp.StatusCode, t.judge(l.policy, req, resp, nil)}
		}
		return resp, err
	}
	r.judge = func(err error) verdict {
		if s, ok := err.(*statusError); ok {
			return s.verdict
		}
		return t.judge(l.policy, req, nil, err)
	}
	r.lose = func(resp *http.Response, err error) {
		if err != nil && resp != nil {
			drain(resp.Body)
		} else if resp != nil {
			resp.Body.Close()
		}
	}
	resp, c, err := r.run()
	if b := t.Hedger.cfg.Budget; b != l.policy.budget {
		if b.request(); err == nil && resp.StatusCode < 500 {
			b.success()
		}
	}
	if l.ctx.Err() == nil || err == nil {
		if resp != nil {
			httpbody.Track(resp, func(error) { c.cancel(nil) })
			return resp, nil
		}
	} else {
		if resp != nil {
			resp.Body.Close()
		}
		if r.cause != nil {
			err = &Error{Attempts: r.begun, Elapsed: t.Hedger.now() - r.begin, Last: err, Cause: r.cause}
		}
	}
	if c != nil {
		c.cancel(nil)
	}
	return nil, err
}

// bounded sends req with ctx and body. The limit, if there is one, is for the time
// until the response's headers arrive.
func (t *Transport) bounded(ctx context.Context, limit time.Duration, req *http.Request, body io.ReadCloser) (*http.Response, error) {
	var timer *time.Timer
	var cancel context.CancelCauseFunc
	if limit > 0 {
		ctx, cancel = context.WithCancelCause(ctx)
		ctx = timeoutContext{ctx}
		timer = time.AfterFunc(limit, func() { cancel(ErrAttemptTimeout) })
	}
	// The copy shares its maps with req: the request's trailers appear in them
	// while the body is read.
	next := req.WithContext(ctx)
	next.Body = body
	returned := false
	if limit > 0 {
		defer func() {
			if !returned {
				cancel(nil)
				timer.Stop()
			}
		}()
	}
	resp, err := t.send(next)
	returned = true
	if limit > 0 {
		late := !timer.Stop()
		if err == nil && late {
			resp.Body.Close()
			err = ErrAttemptTimeout
		}
		if err != nil {
			if late && !errors.Is(err, ErrAttemptTimeout) {
				err = fmt.Errorf("%w: %w", ErrAttemptTimeout, err)
			}
			cancel(nil)
			return nil, err
		}
		httpbody.Track(resp, func(error) { cancel(nil) })
	}
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// timeoutContext says, other than the context it holds, that a timeout is one, to
// layers below that take a cancellation for the caller's.
type timeoutContext struct{ context.Context }

func (c timeoutContext) Err() error {
	err := c.Context.Err()
	if err != nil && context.Cause(c.Context) == ErrAttemptTimeout {
		return context.DeadlineExceeded
	}
	return err
}

// buffered returns req, or a copy of it whose body can be sent again.
func (t *Transport) buffered(req *http.Request) (*http.Request, error) {
	n := req.ContentLength
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil || n <= 0 || n > t.MaxBody ||
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
	return req.GetBody()
}

func drain(body io.ReadCloser) {
	late := time.AfterFunc(drainTime, func() { body.Close() })
	defer late.Stop()
	io.CopyN(io.Discard, body, drainBytes)
	body.Close()
}

// statusError stands for a response that was given up for another attempt.
type statusError struct {
	code    int
	verdict verdict
}

func (e *statusError) Error() string {
	return fmt.Sprintf("server answered %d %s", e.code, http.StatusText(e.code))
}

func (e *statusError) HTTPStatusCode() int { return e.code }
