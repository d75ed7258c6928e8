package breaker

import (
	"errors"
	"iter"
	"net/http"
	"sync"
)

// Transport is an [http.RoundTripper] that guards requests with breakers. The
// zero value is ready for use: it has one breaker for each scheme and host. Its
// fields must not change after the first request. It is safe for concurrent use.
//
// Statuses from 500 on are failures, but for 501 and 505, which speak of the
// request; 429 is ignored. Every other response is a success as soon as its headers
// are there, and turns into a failure if its body breaks off. A response that has
// announced trailers, or whose content type is that of gRPC, says only at its end how
// it went: it is a success when its body has been read or closed. How long the caller
// takes to read counts nowhere: the time that is compared with Slow ends with the
// headers. What the caller has done to its own request is ignored: a request body
// that cannot be read or has the wrong length, a header that cannot be sent, a closed
// Request.Cancel.
//
// A deadline before the headers is a failure, whoever has set it. One that ends the body
// is a failure if that was the backend's time: reads have waited for at least half of the
// time since the headers. Otherwise the caller was slow to read, which says nothing. In a
// stream of events (text/event-stream), which has no end that could be late, only the
// last read counts. So a backend that stops or drips in the middle of its responses opens
// the breaker as one that breaks them off does, and the Timeout of an http.Client does no
// harm to streams in which something comes now and then.
//
// A Retry-After on a failure lengthens the time for which the breaker opens, if it
// opens, up to MaxOpenFor. No single response opens a breaker by itself.
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

	// Classify gives the outcome of an exchange. It is asked when the headers arrive,
	// with a nil error, or when there are none, with the error of Base. It is asked
	// again when the body ends, if it broke off, with the error, or if the response
	// has trailers, with a nil error; the last answer counts, but no answer takes a
	// Failure back. resp is never nil: where there is none it has the Request, no
	// status, no header and no body. It must not be read from or changed.
	//
	// Default leaves the answer to the breaker's Config.Classify, if there is an
	// error, and then to the rules above. At the headers, Ignored also says that the
	// outcome is not known yet. Classify is not asked about a refusal, a cancel of the
	// caller, and what the caller has done to its own request: they are nobody's.
	Classify func(resp *http.Response, err error) Outcome

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
	x := &exchange{transport: t, breaker: b, req: req}
	if err == nil {
		x.permit, err = b.ask(req.Context())
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	return x.do()
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
