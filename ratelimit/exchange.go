package ratelimit

import (
	"net/http"

	"github.com/belay-go/belay/internal/httpbody"
)

// An exchange is a request that is under way.
type exchange struct {
	transport *Transport
	req       *http.Request
	resp      *http.Response // nil: none, or none yet
	permit    Permit
	open      bool // the permit is given back at the end of the body
	body      httpbody.Body
}

// settle ends an exchange that has no body to wait for. Code of the user may have
// panicked with a response at hand, which nobody gets then.
func (x *exchange) settle() {
	if x.open {
		return
	}
	defer x.permit.Done()
	if x.resp != nil && x.resp.Body != nil {
		x.resp.Body.Close()
	}
}

// headers says how the request was answered, if that is known already.
func (x *exchange) headers(err error) {
	if x.permit.wantsAnswer() {
		if o := x.outcome(err, false); o != Ignored || x.resp == nil {
			x.permit.Answered(o)
		}
	}
}

// Ended implements [httpbody.Ender].
func (x *exchange) Ended(err error) {
	defer x.permit.Done()
	if x.permit.wantsAnswer() && !x.permit.answered {
		x.permit.Answered(x.outcome(err, true))
	}
}

func (x *exchange) outcome(err error, atEnd bool) Outcome {
	ctx := x.req.Context()
	if err != nil && isNobodys(ctx, err) {
		return Ignored
	}
	resp := x.resp
	if resp == nil {
		resp = &http.Response{Request: x.req, Header: http.Header{}, Body: http.NoBody}
	}
	if t := x.transport; t.Classify != nil {
		if o := t.Classify(resp, err); o != Default {
			return o
		}
	}
	switch {
	case err != nil:
		return x.permit.Outcome(ctx, err)
	case x.resp == nil: // Base has returned neither
		return Failure
	}
	o := byStatus(resp)
	if o == Success && !atEnd && tellsAtEnd(resp) {
		return Ignored // as yet
	}
	return o
}
