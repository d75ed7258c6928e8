package retry

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// Transport is an [http.RoundTripper] that retries requests. The zero value is
// ready for use; its fields must not change after the first request. It is safe
// for concurrent use.
//
// A request is sent again after an error, or a 408, 429, 502, 503 or 504, if it
// is idempotent: by its method (GET, HEAD, OPTIONS, TRACE, PUT, DELETE; RFC 9110,
// section 9.2.2) or by an Idempotency-Key, even one without a value. For the
// idempotent methods of other RFCs (PROPFIND, SEARCH, REPORT, QUERY) set Idempotent.
// Any other request is sent again only if it provably never left: the connection was
// not established, the server's HTTP/2 refused the stream or closed the connection
// before looking at it, or a layer below refused it and says that another attempt
// would differ.
//
// A request with a body is sent again only if the body can be had again. It can with
// GetBody, which [http.NewRequest] sets for the usual readers. It can without GetBody as
// long as nobody has read from it, or if MaxBody lets it be kept in memory.
//
// Sent once are requests to upgrade the connection, and those that fail in a way that
// no attempt can mend: a certificate that does not verify, a name that does not
// exist, a server that speaks another protocol, an invalid request, a body that
// cannot be read. Their error is returned as it is.
//
// An attempt that meets a connection which the server has closed while it was idle is
// not counted and costs the budget nothing: the next one follows at once.
//
// When no attempt is left, or the budget, the deadline or Retry-After forbids
// one, or a layer below refuses it, the last response is returned, not an error.
// Responses that are given up are read to their end so that their connections can be
// used again. If one is returned after all, its body has no more than was read
// then, up to 64 KiB within 100 ms.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper

	// Policy applies to all requests. nil means a Policy for each host, so that
	// each has a budget of its own. 1,024 hosts are kept. For a further one, a
	// host makes room that has not been used lately. All has these policies.
	Policy *Policy

	// Config is that of the policies for hosts. It is used if Policy is nil. A
	// policy without a Name has the host's.
	Config Config

	// Hedger, if not nil, begins idempotent requests that are slow a second
	// time. Each attempt of the Policy is then a hedged one. Give both the same
	// Budget.
	Hedger *Hedger

	// Idempotent reports whether it does no harm to send a request twice. nil
	// means the rules above.
	Idempotent func(*http.Request) bool

	// Classify decides about a response when its headers have arrived, or about
	// the error in its place, before Config.Classify and the rules above do. The
	// response is never nil: in place of one there is one without status, header and
	// body. Its Request is the attempt's, so that AttemptFrom(resp.Request.Context())
	// tells from the second on which it was. What Classify retries must still be
	// idempotent or never sent. It is not asked about refusals of layers below, nor
	// when the caller has left. nil leaves everything to the rules.
	Classify func(resp *http.Response, err error) Decision

	// RetryAfter returns how long a response asks to wait. A response that does
	// is retried whatever its status, unless Classify says something else. If
	// RetryAfter is nil or returns 0, the header field Retry-After counts, for the
	// statuses above.
	RetryAfter func(*http.Response) time.Duration

	// MaxBody is the length up to which a body without GetBody is read into
	// memory before the request is sent, so that it can be sent again. It
	// takes requests whose ContentLength is known. 0 means none.
	MaxBody int64

	// Balanced says that Base spreads requests over several hosts. The
	// Retry-After of a 503 is then a matter between that layer and the one host,
	// and the request is sent again at once.
	Balanced bool

	hosts hosts
}

var (
	errNotMade       = errors.New("retry: Transport.Policy was not made by New")
	errHedgerNotMade = errors.New("retry: Transport.Hedger was not made by NewHedger")
	errNoResponse    = errors.New("retry: Transport.Base returned neither a response nor an error")
)

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	p, err := t.policy(req)
	if err != nil {
		closeBody(req.Body)
		return nil, err
	}
	if p.timed || t.Hedger != nil || !plainBody(req) {
		return t.exchange(p, req)
	}
	resp, err := t.send(req)
	o := outcome{resp: resp, err: err}
	if err == nil {
		if o.verdict, o.good = t.judgeResponse(req, resp); o.good {
			if o.verdict.answered {
				p.budget.deposit()
			}
			return resp, nil
		}
	}
	return t.exchangeSent(p, req, o)
}

// policy returns the policy for req.
func (t *Transport) policy(req *http.Request) (*Policy, error) {
	if t.Hedger != nil && t.Hedger.cfg.Budget == nil {
		return nil, errHedgerNotMade
	}
	if t.Policy == nil {
		return t.hosts.get(req, &t.Config)
	}
	if t.Policy.budget == nil {
		return nil, errNotMade
	}
	return t.Policy, nil
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// send is Base's RoundTrip, which returns a response or an error, never neither.
func (t *Transport) send(req *http.Request) (*http.Response, error) {
	resp, err := t.base().RoundTrip(req)
	if err != nil {
		if resp != nil {
			closeBody(resp.Body)
		}
		return nil, err
	}
	if resp == nil {
		return nil, errNoResponse
	}
	return resp, nil
}

func (t *Transport) base() http.RoundTripper {
	return cmp.Or(t.Base, http.DefaultTransport)
}

// ask returns what Classify says about the end of an attempt of req.
func (t *Transport) ask(req *http.Request, resp *http.Response, err error) Decision {
	if t.Classify == nil {
		return Default
	}
	switch {
	case resp == nil:
		resp = &http.Response{Request: req, Header: http.Header{}, Body: http.NoBody}
	case resp.Request == nil:
		resp = new(*resp)
		resp.Request = req
	}
	return t.Classify(resp, err)
}

// judgeResponse decides about a response. good says that the caller gets it.
func (t *Transport) judgeResponse(req *http.Request, resp *http.Response) (v verdict, good bool) {
	d, after := t.asked(req, resp)
	if d == Stop || d == Default && after <= 0 && !retryStatus(resp.StatusCode) {
		return verdict{stop: true, answered: resp.StatusCode < 500}, true
	}
	if v.after = after; after <= 0 {
		v.after = httpfield.RetryAfter(resp.Header)
	}
	if t.Balanced && resp.StatusCode == http.StatusServiceUnavailable && v.after > 0 {
		v.atOnce, v.after = true, 0
	}
	return v, false
}

// asked returns what the caller's functions say about a response. It is closed if they
// panic.
func (t *Transport) asked(req *http.Request, resp *http.Response) (d Decision, after time.Duration) {
	if t.Classify == nil && t.RetryAfter == nil {
		return Default, 0
	}
	returned := false
	defer func() {
		if !returned {
			closeBody(resp.Body)
		}
	}()
	d = t.ask(req, resp, nil)
	if t.RetryAfter != nil {
		after = t.RetryAfter(resp)
	}
	returned = true
	return d, after
}
