package breaker

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/belay-go/belay/internal/httpbody"
	"github.com/belay-go/belay/internal/httpfield"
)

// Transport is an [http.RoundTripper] that guards requests with breakers. The
// zero value is ready for use: it has one breaker for each scheme and host. Its
// fields must not change after the first request. It is safe for concurrent use.
//
// Statuses from 500 on are failures, but for 501 and 505, which speak of the
// request; 429 is ignored; every other response is a success once its body has
// been read or closed, and a failure if reading it fails. A Retry-After on a
// failure lengthens the time for which the breaker opens, if it opens, up to
// MaxOpenFor.
//
// A refused request returns an [*Error]; its body is closed.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper

	// Breaker guards all requests, if set.
	Breaker *Breaker
	// For returns the breaker for a request, if set; nil lets it pass unguarded.
	// It takes precedence over Breaker.
	For func(*http.Request) *Breaker
	// Config is that of the breakers that Transport makes when neither Breaker nor
	// For is set, one for each scheme and host. Their name is "scheme://host". It
	// keeps 1,024 of them, as a Set does.
	Config Config

	// Classify gives the outcome of a response; err is nil, or the error that ended
	// its body early. nil means the rules above.
	Classify func(resp *http.Response, err error) Outcome

	// TripOn opens the breaker at once if it reports true for a response, for as
	// long as its Retry-After asks, or for OpenFor. nil: no single response does.
	TripOn func(*http.Response) bool

	once sync.Once // makes set, or err
	set  *Set[origin]
	err  error
}

type origin struct{ scheme, host string }

func (o origin) String() string { return o.scheme + "://" + o.host }

var (
	errNotMade    = errors.New("breaker: Transport: a Breaker that was not made by New")
	errNoResponse = errors.New("breaker: Transport.Base returned neither a response nor an error")
)

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	b, err := t.breaker(req)
	if b == nil && err == nil {
		return t.base().RoundTrip(req)
	}
	var permit Permit
	if err == nil {
		permit, err = b.allow(req.Context())
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	outcome := Failure // if Base panics or calls runtime.Goexit
	var hint time.Duration
	defer func() { permit.done(req.Context(), outcome, hint) }()

	resp, err := t.base().RoundTrip(req)
	if resp == nil && err == nil {
		err = errNoResponse
	}
	if err != nil {
		outcome = b.cfg.classify(req.Context(), err)
		return nil, err
	}
	if t.TripOn != nil && t.TripOn(resp) {
		b.Trip(min(httpfield.RetryAfter(resp.Header), b.cfg.MaxOpenFor), fmt.Errorf("tripped by a response with status %d", resp.StatusCode))
	}
	outcome = t.classify(resp, nil)
	if outcome == Failure {
		hint = httpfield.RetryAfter(resp.Header)
	}
	if outcome == Success && resp.StatusCode != http.StatusSwitchingProtocols {
		// Whether it was a success shows when the body has been read.
		rest := permit
		permit = Permit{}
		httpbody.Track(resp, func(err error) {
			o := Success
			if err != nil {
				if o = b.cfg.classify(req.Context(), err); o == Failure {
					o = t.classify(resp, err)
				}
			}
			rest.done(req.Context(), o, 0)
		})
	}
	return resp, nil
}

// All returns the breakers that Transport has made, by "scheme://host".
func (t *Transport) All() iter.Seq2[string, *Breaker] {
	return func(yield func(string, *Breaker) bool) {
		t.once.Do(t.prepare)
		if t.set == nil {
			return
		}
		for o, b := range t.set.All() {
			if !yield(o.String(), b) {
				return
			}
		}
	}
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

func (t *Transport) classify(resp *http.Response, err error) Outcome {
	if t.Classify != nil {
		return t.Classify(resp, err)
	}
	switch code := resp.StatusCode; {
	case err != nil:
		return Failure
	case code == http.StatusTooManyRequests:
		return Ignored
	case code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		return Failure
	}
	return Success
}

// breaker returns the one for req, nil for none.
func (t *Transport) breaker(req *http.Request) (*Breaker, error) {
	if t.For != nil || t.Breaker != nil {
		b := t.Breaker
		if t.For != nil {
			b = t.For(req)
		}
		if b != nil && b.current.Load() == nil {
			return nil, errNotMade
		}
		return b, nil
	}
	t.once.Do(t.prepare)
	if t.err != nil {
		return nil, t.err
	}
	var o origin
	if req.URL != nil {
		o = origin{req.URL.Scheme, req.URL.Host}
	}
	return t.set.Get(o), nil
}

func (t *Transport) prepare() {
	if t.err = t.Config.Validate(); t.err != nil {
		return
	}
	t.set = NewSet(SetConfig[origin]{Config: func(o origin) Config {
		cfg := t.Config
		cfg.Name = o.String()
		return cfg
	}})
}
