package retry

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// hedge sends the request in a race.
func (x *exchange) hedge(body io.ReadCloser) outcome {
	if x.ctx.Err() != nil {
		closeBody(body)
		return x.judge(x.ctx, x.req, nil, context.Cause(x.ctx))
	}
	h := x.t.Hedger
	var taken atomic.Bool // body, by one of the attempts
	r := &race[*http.Response]{h: h, parent: x.ctx, lose: lose, park: park}
	r.op = func(ctx context.Context) (*http.Response, error) {
		own := body
		if taken.Swap(true) {
			var err error
			if own, err = freshBody(x.req); err != nil {
				return nil, &marked{error: err, own: true}
			}
		}
		o := x.once(ctx, own, watch(own, false))
		if o.resp != nil && !o.good {
			hold(o.resp)
			return o.resp, &statusError{o.resp.StatusCode, o.verdict}
		}
		if o.err != nil {
			return nil, &judgedError{o.err, o.verdict}
		}
		return o.resp, nil
	}
	r.judge = func(_ context.Context, err error) verdict {
		switch e := err.(type) {
		case *statusError:
			return e.verdict
		case *judgedError:
			return e.verdict
		}
		return verdict{stop: true}
	}
	resp, by, err := r.run()
	return x.raced(r, resp, by, err)
}

// raced is the outcome of a race.
func (x *exchange) raced(r *race[*http.Response], resp *http.Response, by *entrant, err error) outcome {
	if b := r.h.cfg.Budget; b != x.policy.budget {
		if b.request(); err == nil && resp.StatusCode < 500 {
			b.success()
		}
	}
	left := x.ctx.Err() != nil && err != nil
	if resp != nil && !left {
		endWith(resp, by.cancel)
		if err != nil {
			return outcome{resp: resp, verdict: r.result.verdict}
		}
		return outcome{resp: resp, verdict: verdict{stop: true, answered: resp.StatusCode < 500}, good: true}
	}
	if resp != nil {
		closeBody(resp.Body)
	}
	if by != nil {
		by.cancel(nil)
	}
	if e, ok := err.(*judgedError); ok {
		err = e.error
	}
	v := r.result.verdict
	if left {
		v.stop = true
		if r.result.cause != nil {
			err = &Error{Attempts: r.begun - r.refused, Elapsed: r.h.now() - r.begin, Err: err, Cause: r.result.cause}
		}
	}
	return outcome{err: err, verdict: v}
}

// judgedError carries the verdict about an attempt through a race.
type judgedError struct {
	error
	verdict verdict
}

func (e *judgedError) Unwrap() error { return e.error }

// lose takes a response that does not reach the caller.
func lose(resp *http.Response, err error) {
	if resp == nil {
		return
	}
	if err != nil {
		park(resp)
		return
	}
	closeBody(resp.Body)
}

// park reads a response that may be lost, so that its connection is free.
func park(resp *http.Response) {
	if resp != nil {
		hold(resp).park()
	}
}
