package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// again makes a wrapper that makes up to n attempts, with bodies from GetBody,
// and otherwise does nothing but what it is told.
func again(n int, when func(*http.Request, *http.Response, error) bool, wait func(context.Context) error) func(http.RoundTripper) http.RoundTripper {
	return with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		sent := r
		for attempt := 1; ; attempt++ {
			resp, err := base.RoundTrip(sent)
			if attempt == n || !when(r, resp, err) || r.Body != nil && r.GetBody == nil {
				if resp != nil {
					resp.Request = r
				}
				return resp, err
			}
			if resp != nil {
				discard(resp.Body)
			}
			if err := wait(r.Context()); err != nil {
				return nil, err
			}
			sent = r.Clone(r.Context())
			if r.Body != nil {
				sent.Body, _ = r.GetBody()
			}
		}
	})
}

func anything(_ *http.Request, resp *http.Response, err error) bool {
	return err != nil || resp.StatusCode >= 500
}

func noWait(context.Context) error { return nil }

var brokenAttempts = []broken{
	{name: "does not close what it discards", caught: "repeat/discarded-closed", traits: Traits{Repeats: true}, wrap: discarding(func(io.ReadCloser) {}, noWait)},
	{name: "does not read what it discards", caught: "repeat/discarded-closed", traits: Traits{Repeats: true}, wrap: discarding(func(b io.ReadCloser) { b.Close() }, noWait)},
	{name: "closes what it discards after the wait", caught: "repeat/discarded-closed", traits: Traits{Repeats: true}, wrap: discarding(func(b io.ReadCloser) {
		<-time.After(time.Second)
		discard(b)
	}, noWait)},
	{name: "reads all of what it discards", caught: "repeat/endless-discard", traits: Traits{Repeats: true}, wrap: discarding(func(b io.ReadCloser) {
		io.Copy(io.Discard, b)
		b.Close()
	}, noWait)},
	{name: "waits for the end of what it discards", caught: "repeat/stalled-discard", traits: Traits{Repeats: true}, wrap: discarding(func(b io.ReadCloser) {
		io.CopyN(io.Discard, b, 4096)
		b.Close()
	}, noWait)},
	{name: "makes an error of the last response", caught: "repeat/last-response", traits: Traits{Repeats: true}, wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil && resp.StatusCode >= 500 {
			discard(resp.Body)
			return nil, errors.New("gave up after 1 attempt")
		}
		return resp, err
	})},
	{name: "closes the last response", caught: "repeat/last-response", traits: Traits{Repeats: true}, wrap: returning(func(_ *http.Request, resp *http.Response) {
		if resp.StatusCode >= 500 {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})},
	{name: "sends the second attempt without a body", caught: "repeat/attempts-alike", traits: Traits{Repeats: true}, wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err != nil {
			return base.RoundTrip(r.Clone(r.Context()))
		}
		return resp, err
	})},
	{name: "sends twice without the trait", caught: "repeat/attempts-alike", wrap: again(2, anything, noWait)},
	{name: "tries whatever has GetBody again", caught: "repeat/not-idempotent", traits: Traits{Repeats: true}, wrap: again(2, anything, noWait)},
	{name: "does not look at GetBody's error", caught: "repeat/get-body-fails", traits: Traits{Repeats: true}, wrap: again(2, anything, noWait)},

	{name: "refuses and keeps the body open", caught: "refuse/clean", traits: Traits{Refuses: true}, wrap: refusingAfter(5, func(base http.RoundTripper, r *http.Request) {})},
	{name: "refuses what it has sent", caught: "refuse/clean", traits: Traits{Refuses: true}, wrap: refusingAfter(5, func(base http.RoundTripper, r *http.Request) { base.RoundTrip(r) })},
	{name: "refuses without the trait", caught: "refuse/clean", wrap: refusingAfter(5, func(_ http.RoundTripper, r *http.Request) { r.Body.Close() })},
	{name: "answers without the trait", caught: "answer/again", wrap: func(base http.RoundTripper) http.RoundTripper { return &answering{identity: identity{base}} }},
	{name: "answers with the request that it was asked first", caught: "answer/again", traits: Traits{Answers: true}, wrap: func(base http.RoundTripper) http.RoundTripper {
		inner := &answering{identity: identity{base}}
		var first *http.Request
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.RoundTrip(r)
			if first == nil {
				first = r
			}
			if err == nil {
				resp.Request = first
			}
			return resp, err
		})
	}},
	{name: "answers with a body that was read", caught: "answer/again", traits: Traits{Answers: true}, wrap: func(base http.RoundTripper) http.RoundTripper {
		var known *http.Response
		return roundTripper(func(r *http.Request) (resp *http.Response, err error) {
			if known == nil {
				known, err = base.RoundTrip(r)
				return known, err
			}
			resp = new(*known)
			resp.Request = r
			return resp, nil
		})
	}},
	{name: "has no CloseIdleConnections", caught: "pool/close-idle", wrap: with(http.RoundTripper.RoundTrip)},
	{name: "insists on the base's CloseIdleConnections", caught: "pool/close-idle-absent", wrap: func(base http.RoundTripper) http.RoundTripper { return &insisting{identity{base}} }},
	{name: "has CancelRequest", caught: "pool/no-cancel-request", wrap: func(base http.RoundTripper) http.RoundTripper { return &canceling{identity{base}} }},

	{name: "fails if a hundred calls are under way", caught: "concurrency/many", wrap: func(base http.RoundTripper) http.RoundTripper {
		var calls atomic.Int64
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			defer calls.Add(-1)
			if calls.Add(1) > 100 {
				r.Body.Close()
				return nil, errors.New("too many")
			}
			return base.RoundTrip(r)
		})
	}},
	{name: "mixes answers up", caught: "concurrency/many-protocol", wrap: func(base http.RoundTripper) http.RoundTripper {
		var mu sync.Mutex
		var last string
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(r)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				last, resp.Header["X-Name"] = resp.Header.Get("X-Name"), []string{last}
			}
			return resp, err
		})
	}},
	{name: "makes one call at a time", caught: "concurrency/side-by-side", wrap: func(base http.RoundTripper) http.RoundTripper {
		var mu sync.Mutex
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			return base.RoundTrip(r)
		})
	}},
	{name: "makes an error of a panic", caught: "panic/passes", wrap: with(func(base http.RoundTripper, r *http.Request) (resp *http.Response, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
		}()
		return base.RoundTrip(r)
	})},
	{name: "panics with another value", caught: "panic/passes", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		defer func() {
			if v := recover(); v != nil {
				panic(fmt.Sprintf("in RoundTrip: %v", v))
			}
		}()
		return base.RoundTrip(r)
	})},
	{name: "keeps the permit of a call that panics", caught: "panic/passes", wrap: limited(func(permits chan bool, call func()) {
		call()
		<-permits
	})},
	{name: "keeps the permit of a second attempt that panics", caught: "panic/passes", traits: Traits{Repeats: true}, wrap: func(base http.RoundTripper) http.RoundTripper {
		permits := make(chan bool, 10)
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(r)
			if err != nil || resp.StatusCode != 503 {
				return resp, err
			}
			discard(resp.Body)
			permits <- true
			resp, err = base.RoundTrip(r)
			<-permits
			return resp, err
		})
	}},
	{name: "does not cancel its context in a panic", caught: "panic/passes", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		ctx, cancel := cancelable(r.Context())
		resp, err := base.RoundTrip(r.WithContext(ctx))
		if err != nil {
			cancel()
		}
		return resp, err
	})},
	{name: "keeps the permit of a call that ends its goroutine", caught: "panic/goexit", wrap: limited(func(permits chan bool, call func()) {
		defer func() {
			if v := recover(); v != nil {
				<-permits
				panic(v)
			}
		}()
		call()
		<-permits
	})},
	{name: "watches the context for ever", caught: "leak/goroutines", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		go func() { <-r.Context().Done() }()
		return base.RoundTrip(r)
	})},
	{name: "runs a timer's goroutine on", caught: "request/sent-whole", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		go func() { <-make(chan bool) }()
		return base.RoundTrip(r)
	})},
}

// discarding makes a wrapper that tries up to three times, and gets rid of
// responses in its own way.
func discarding(discard func(io.ReadCloser), wait func(context.Context) error) func(http.RoundTripper) http.RoundTripper {
	return with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		for attempt := 1; ; attempt++ {
			resp, err := base.RoundTrip(r)
			if attempt == 3 || err != nil || resp.StatusCode != 503 {
				return resp, err
			}
			discard(resp.Body)
			if err := wait(r.Context()); err != nil {
				return nil, err
			}
		}
	})
}

// refusingAfter makes a wrapper that refuses all calls after some failures.
func refusingAfter(failures int64, refuse func(http.RoundTripper, *http.Request)) func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper {
		var failed atomic.Int64
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if failed.Load() >= failures {
				refuse(base, r)
				return nil, errRefused
			}
			resp, err := base.RoundTrip(r)
			if err != nil {
				failed.Add(1)
			}
			return resp, err
		})
	}
}

// limited makes a wrapper with ten permits.
func limited(hold func(permits chan bool, call func())) func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper {
		permits := make(chan bool, 10)
		return roundTripper(func(r *http.Request) (resp *http.Response, err error) {
			permits <- true
			hold(permits, func() { resp, err = base.RoundTrip(r) })
			return resp, err
		})
	}
}

type insisting struct{ identity }

func (w *insisting) CloseIdleConnections() {
	w.base.(interface{ CloseIdleConnections() }).CloseIdleConnections()
}

type canceling struct{ identity }

func (w *canceling) CancelRequest(*http.Request) {}
