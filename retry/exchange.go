package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/belay-go/belay/internal/httpbody"
)

// An exchange is one request on its way through a [Transport], once it needs more than
// the request itself. It knows whether the request can be sent again. run takes it
// from one attempt to the next:
//
//	attempt -> judge -> plan -> again -> wait -> attempt
type exchange struct {
	loop
	t          *Transport
	caller     *http.Request // as RoundTrip got it
	req        *http.Request // the same, or a copy whose body can be had again
	idempotent bool
	single     bool           // there is no second attempt, whatever happens
	next       io.ReadCloser  // the body for the attempt that is due
	body       *watched       // of the attempt under way; nil if it needs no watching
	open       *http.Response // of the attempt that has ended, before it is known what becomes of it
	held       *http.Response // of the last attempt that was sent, while another is made
}

// An outcome is what an attempt came to.
type outcome struct {
	resp    *http.Response // nil: err
	err     error
	verdict verdict
	good    bool // resp is what the caller gets
}

// exchange sends req, which no attempt was made of.
func (t *Transport) exchange(p *Policy, req *http.Request) (*http.Response, error) {
	x := exchange{next: req.Body}
	defer x.finish()
	if err := x.start(t, p, req); err != nil {
		return nil, err
	}
	return x.run(x.attempt())
}

// exchangeSent goes on after the first attempt of req, of whose outcome the response
// was judged.
func (t *Transport) exchangeSent(p *Policy, req *http.Request, o outcome) (*http.Response, error) {
	x := exchange{open: o.resp}
	defer x.finish()
	x.start(t, p, req) // there is no body that must be read
	if o.err != nil {
		o.verdict = x.judgeError(x.ctx, req, o.err)
	}
	x.restrict(x.ctx, &o)
	return x.run(o)
}

func (x *exchange) start(t *Transport, p *Policy, req *http.Request) error {
	x.t, x.caller, x.req = t, req, req
	x.single = req.Method == http.MethodConnect || req.Header.Get("Upgrade") != ""
	if t.Idempotent != nil {
		x.idempotent = t.Idempotent(req)
	} else {
		x.idempotent = idempotent(req)
	}
	if x.next != nil {
		x.next = nil // buffered closes it if it fails
		buffered, err := t.buffered(req)
		if err != nil {
			return err
		}
		x.req, x.next = buffered, buffered.Body
	}
	//lint:ignore SA1019 a caller who uses it leaves by it
	x.gone = req.Cancel
	x.begin(req.Context(), p)
	return nil
}

// finish gives back what is left, also if code of the caller's panics.
func (x *exchange) finish() {
	x.end()
	x.body.release()
	closeBody(x.next)
	if x.open != nil {
		closeBody(x.open.Body)
	}
}

func (x *exchange) run(o outcome) (*http.Response, error) {
	for {
		x.open = o.resp
		if o.good && o.verdict.answered {
			x.succeed()
			return x.give(o.resp)
		}
		if o.resp != nil {
			o.err = &statusError{code: o.resp.StatusCode}
		}
		delay, ok := x.plan(o.verdict, o.err)
		if !ok {
			return x.result(o)
		}
		if err := x.again(); err != nil {
			x.abandon(err)
			return x.result(o)
		}
		x.hold(o)
		if !x.wait(delay) {
			return nil, x.fail()
		}
		o = x.attempt()
	}
}

// again provides the body for the next attempt.
func (x *exchange) again() (err error) {
	if x.body.takeBack() {
		x.next = x.req.Body
		return nil
	}
	x.next, err = freshBody(x.req)
	return err
}

// hold keeps the response of an attempt while the next one is made: a layer below
// may refuse it.
func (x *exchange) hold(o outcome) {
	if o.resp != nil {
		hold(o.resp).park()
		x.held, x.open = o.resp, nil
	} else if !o.verdict.rejected {
		x.held = nil
	}
}

// result is what the caller gets when no attempt follows: a response, if there is
// one, and otherwise an error.
func (x *exchange) result(o outcome) (*http.Response, error) {
	switch {
	case o.resp != nil:
		return x.give(o.resp)
	case x.held != nil && o.verdict.rejected:
		return x.give(x.held)
	}
	return nil, x.fail()
}

func (x *exchange) give(resp *http.Response) (*http.Response, error) {
	x.open = nil
	return resp, nil
}

// attempt sends the request, hedged if that does no harm.
func (x *exchange) attempt() outcome {
	body := x.next
	x.next = nil
	switch {
	case x.t.Hedger != nil && !x.single && x.idempotent && reusable(x.req) && len(x.req.Trailer) == 0:
		return x.hedge(body)
	case x.attempts == 0 && x.policy.cfg.AttemptTimeout == 0 && plainBody(x.req):
		resp, err := x.t.send(x.req)
		return x.judge(x.ctx, x.req, resp, err)
	}
	if x.body = nil; !x.single {
		x.body = watch(body, !reusable(x.req))
	}
	return x.once(x.ctx, body, x.body)
}

// once sends the request with ctx and body, which w watches if it is not nil. An
// AttemptTimeout is the time until the response's headers arrive.
func (x *exchange) once(ctx context.Context, body io.ReadCloser, w *watched) outcome {
	inner, cancel := ctx, context.CancelCauseFunc(nil)
	limit := x.policy.cfg.AttemptTimeout
	var timer *time.Timer
	if limit > 0 {
		inner, cancel = context.WithCancelCause(ctx)
		timer = time.AfterFunc(limit, func() { cancel(ErrAttemptTimeout) })
		defer func() { // if Base panics
			if cancel != nil {
				timer.Stop()
				cancel(nil)
			}
		}()
	}
	// The copy shares its maps with the caller's request: the request's trailers
	// appear in them while the body is read.
	req := x.req.WithContext(inner)
	if req.Body = body; w != nil {
		req.Body = w
	}
	resp, err := x.t.send(req)
	if w.failed() && err != nil {
		err = &marked{error: err, own: true}
	}
	if limit > 0 {
		resp, err = inTime(resp, err, !timer.Stop())
		if err == nil {
			endWith(resp, cancel)
			cancel = nil
		}
	}
	return x.judge(ctx, req, resp, err)
}

// inTime turns what came after the AttemptTimeout into its error.
func inTime(resp *http.Response, err error, late bool) (*http.Response, error) {
	switch {
	case !late || errors.Is(err, ErrAttemptTimeout):
		return resp, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAttemptTimeout, err)
	}
	closeBody(resp.Body)
	return nil, ErrAttemptTimeout
}

// endWith cancels a context when the body of resp has ended.
func endWith(resp *http.Response, cancel context.CancelCauseFunc) {
	httpbody.Track(resp, func(error) { cancel(nil) })
}

// judge decides about an attempt, made as req, that ended with resp or err. ctx is the
// attempt's without its AttemptTimeout.
func (x *exchange) judge(ctx context.Context, req *http.Request, resp *http.Response, err error) outcome {
	o := outcome{resp: resp, err: err}
	if err != nil {
		o.verdict = x.judgeError(ctx, req, err)
	} else {
		o.verdict, o.good = x.t.judgeResponse(req, resp)
		if resp.Request == req { // and not what a layer below has made of it
			resp.Request = x.caller
		}
	}
	x.restrict(ctx, &o)
	return o
}

// restrict takes back the verdict that another attempt is to follow where the request
// cannot be sent again, or must not be.
func (x *exchange) restrict(ctx context.Context, o *outcome) {
	switch v := &o.verdict; {
	case v.stop:
	case ctx.Err() != nil, isClosed(x.gone),
		x.single, !reusable(x.req) && !x.body.untouched(),
		!x.idempotent && !v.rejected && (o.err == nil || !neverSent(o.err)):
		v.stop = true
	}
}

// judgeError decides about an error of an attempt of req.
func (x *exchange) judgeError(ctx context.Context, req *http.Request, err error) verdict {
	if m, ok := mark(err); ok && m.own || ctx.Err() != nil || isClosed(x.gone) {
		return verdict{stop: true, rejected: rejected(err)}
	}
	if !rejected(err) {
		if d := x.t.ask(req, nil, err); d != Default {
			return verdict{after: retryAfter(err)}.decide(d == Retry, err)
		}
	}
	v, ok := decided(ctx, x.policy.cfg.Classify, err)
	switch {
	case ok:
	case hopeless(err):
		return verdict{stop: true}
	default:
		if v = byRules(err); idleClosed(err) {
			v.idle, v.free, v.atOnce = true, true, true
		}
	}
	return v
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// statusError stands for a response that is not good.
type statusError struct {
	code    int
	verdict verdict
}

func (e *statusError) Error() string {
	return fmt.Sprintf("server answered %d %s", e.code, http.StatusText(e.code))
}

func (e *statusError) HTTPStatusCode() int { return e.code }
