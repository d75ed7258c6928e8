package httpcache

import (
	"context"
	"errors"
	"net/http"
)

// forward sends the request to the origin, asks it to validate the entry if there is
// one, and stores what comes back.
func (x *exchange) forward() (*http.Response, error) {
	c := x.cache
	for {
		out := x.sent
		x.validating = false
		if e := x.entry; e != nil && e.validates() && x.req.Method != http.MethodHead && x.has&(hasConditions|hasRange) == 0 {
			out, x.validating = e.validation(x.sent), true
		}
		x.requested = c.now()
		resp, err := x.send(out)
		x.received = c.now()
		switch {
		case err != nil:
			return x.failed(err)
		case resp.StatusCode == http.StatusSwitchingProtocols:
			x.flight.land(endRefused)
			return x.passedBy(resp, nil, x.why)
		case resp.StatusCode == http.StatusNotModified:
			e := x.freshen(resp)
			switch {
			case !x.validating: // it is for the caller
				return x.fetched(resp, false), nil
			case e != nil:
				return x.validated(e, resp), nil
			}
			// It speaks of something that is not stored (RFC 9111, section 4.3.4).
			discard(resp)
			x.drop(x.entry, resp)
			x.entry = nil
			continue
		case resp.StatusCode >= 500:
			outage := isOutage(resp.StatusCode)
			x.entry.failed(x.received, nil, outage)
			if outage && x.entry.useInstead(x.received, &x.want, c.cfg.StaleIfError, nil) {
				discard(resp)
				x.flight.fail(nil)
				return x.instead(x.received, nil), nil
			}
		case saysNothing(resp):
			x.entry.failed(x.received, nil, false)
		}
		return x.receive(resp), nil
	}
}

// isOutage reports whether a status is an error for which a stale response may be
// used (RFC 5861, section 4).
func isOutage(code int) bool {
	switch code {
	case 500, 502, 503, 504:
		return true
	}
	return false
}

// saysNothing reports whether a response below 500 says nothing about what was asked
// for, because it was asked too soon, too often or too slowly. GitHub and others say so
// with 403, where nothing is left of a limit.
func saysNothing(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		h := received(resp)
		return h["Retry-After"] != nil || h.Get("X-Ratelimit-Remaining") == "0" || h.Get("Ratelimit-Remaining") == "0"
	}
	return false
}

// failed returns a stale response in place of an error, if one may be used.
func (x *exchange) failed(err error) (*http.Response, error) {
	ctx := x.req.Context()
	deadline, ok := ctx.Deadline()
	left := ctx.Err() != nil || ok && !x.received.time().Before(deadline)
	if left && x.refresh == nil || errors.Is(err, context.Canceled) && !rejected(err) {
		x.flight.land(endLost) // it says nothing of the origin
		return nil, x.missed(err, false)
	}
	x.entry.failed(x.received, err, true)
	x.flight.fail(err)
	if x.entry.useInstead(x.received, &x.want, x.cache.cfg.StaleIfError, err) {
		return x.instead(x.received, err), nil
	}
	return nil, x.missed(err, false)
}

// missed notes that there is no answer, but an error, be it that of another's request.
func (x *exchange) missed(err error, another bool) error {
	x.tell(&Event{Kind: Miss, Status: Status{Cache: x.cache.cfg.Name, Forward: x.why, Collapsed: another}, Err: err})
	return err
}

// rejected reports whether a layer below has refused a request and sent nothing.
func rejected(err error) bool {
	r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err)
	return ok && r.Rejected()
}

// bypass sends a request that does not concern the cache. What is heard of what is
// stored is heard nonetheless.
func (x *exchange) bypass(why string) (*http.Response, error) {
	resp, err := x.send(x.sent)
	if err == nil && why == "bypass" && revokes(resp) {
		x.forget(resp)
	}
	return x.passedBy(resp, err, why)
}

// tunnel sends a request whose response is not looked at.
func (x *exchange) tunnel() (*http.Response, error) {
	resp, err := x.send(x.sent)
	x.tell(&Event{Kind: Bypassed, Status: Status{Cache: x.cache.cfg.Name, Forward: "bypass"}, Err: err})
	return resp, err
}

// passedBy notes how the origin has answered a request that does not concern the cache.
func (x *exchange) passedBy(resp *http.Response, err error, why string) (*http.Response, error) {
	s := Status{Cache: x.cache.cfg.Name, Forward: why}
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		addStatus(resp, s.String())
	}
	x.tell(&Event{Kind: Bypassed, Status: s, Err: err})
	return resp, err
}

// fetched returns a response of the origin's.
func (x *exchange) fetched(resp *http.Response, stored bool) *http.Response {
	if !stored {
		x.flight.land(endRefused)
	}
	s := Status{Cache: x.cache.cfg.Name, Forward: x.why, Stored: stored}
	if x.unnamed {
		s.Detail = "needs-partition"
	}
	text := x.cache.plainMiss
	if s != (Status{Cache: x.cache.cfg.Name, Forward: "uri-miss", Stored: true}) {
		text = s.String()
	}
	addStatus(resp, text)
	x.tell(&Event{Kind: Miss, Status: s})
	return resp
}

// tell notes how the request was answered by the origin.
func (x *exchange) tell(e *Event) {
	if x.refresh == nil {
		e.Request = x.req
		x.cache.note(x.req.Context(), e)
	}
}
