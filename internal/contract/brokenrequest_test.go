package contract

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

var brokenRequests = []broken{
	{name: "sets a header in the caller's request", caught: "request/unchanged", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		r.Header.Set("X-Attempt", "1")
		return base.RoundTrip(r)
	})},
	{name: "sets a header in the caller's request and removes it", caught: "request/unchanged", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		r.Header.Set("X-Attempt", "1")
		defer r.Header.Del("X-Attempt")
		return base.RoundTrip(r)
	})},
	{name: "rewrites the caller's URL", caught: "request/unchanged", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		r.URL.Host = "other.test"
		return base.RoundTrip(r)
	})},
	{name: "forgets Host", caught: "request/sent-whole", wrap: sending(func(r *http.Request) { r.Host = "" })},
	{name: "normalizes header names", caught: "request/sent-whole", wrap: sending(func(r *http.Request) {
		h := make(http.Header)
		for name, values := range r.Header {
			for _, v := range values {
				h.Add(name, v)
			}
		}
		r.Header = h
	})},
	{name: "adds to a header map that its copy shares", caught: "request/headers-do-not-leak", wrap: sending(func(r *http.Request) { r.Header.Add("X-Name", "attempt") })},
	{name: "drops Cancel", caught: "request/cancel-channel", wrap: sending(func(r *http.Request) {
		//lint:ignore SA1019 http.Client still sets it
		r.Cancel = nil
	})},
	{name: "sends in a context without values", caught: "request/context-values", wrap: inContext(func(ctx context.Context) context.Context { return valueless{ctx} })},
	{name: "looks at the URL's host without a look at the URL", caught: "request/invalid", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.URL.Host == "closed.test" {
			return nil, errRefused
		}
		return base.RoundTrip(r)
	})},
	{name: "finds out itself that there is no host, and keeps the body open", caught: "request/invalid", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.URL == nil || r.URL.Host == "" {
			return nil, errors.New("no host")
		}
		return base.RoundTrip(r)
	})},

	{name: "hides the body's Close", caught: "body/closed-after-success", wrap: sending(func(r *http.Request) {
		if r.Body != nil {
			r.Body = io.NopCloser(r.Body)
		}
	})},
	{name: "closes the body after success only", caught: "body/closed-after-failure", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		sent := new(*r)
		if r.Body != nil {
			sent.Body = io.NopCloser(r.Body)
		}
		resp, err := base.RoundTrip(sent)
		if err == nil && r.Body != nil {
			r.Body.Close()
		}
		return resp, err
	})},
	{name: "takes a body from GetBody and never closes it", caught: "body/closed-after-failure", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.GetBody != nil {
			r.GetBody()
		}
		return base.RoundTrip(r)
	})},
	{name: "returns early without closing the body", caught: "body/closed-when-context-is-done", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return base.RoundTrip(r)
	})},
	{name: "closes the body itself when RoundTrip returns", caught: "body/left-alone", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			defer r.Body.Close()
		}
		return base.RoundTrip(r)
	})},
	{name: "peeks at the body", caught: "body/left-alone", wrap: peek},
	{name: "reads what is left of the body", caught: "body/not-read-after-close", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
		}
		return resp, err
	})},
	{name: "wraps the body even if there is none", caught: "body/none-stays-none", wrap: sending(func(r *http.Request) {
		r.Body = io.NopCloser(bytes.NewReader(nil))
	})},
	{name: "counts the body's bytes", caught: "body/identity", wrap: sending(func(r *http.Request) {
		if body := r.Body; body != nil && body != http.NoBody {
			r.Body = &funcBody{read: body.Read, close: body.Close}
		}
	})},
	{name: "forgets the body's length", caught: "body/one-write", wrap: sending(func(r *http.Request) {
		r.ContentLength = -1
		r.Body = &funcBody{read: r.Body.Read, close: r.Body.Close}
	})},
	{name: "collects the body", caught: "body/streams", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		sent := new(*r)
		if r.Body != nil {
			data, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				return nil, err
			}
			sent.Body = io.NopCloser(bytes.NewReader(data))
		}
		return base.RoundTrip(sent)
	})},
	{name: "sends what is left of a body", caught: "body/sent-once", traits: Traits{Repeats: true}, wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		sent := new(*r)
		sent.Body = io.NopCloser(r.Body)
		defer r.Body.Close()
		resp, err := base.RoundTrip(sent)
		if err != nil {
			return base.RoundTrip(sent)
		}
		return resp, err
	})},
	{name: "has a GetBody that returns the body itself", caught: "body/get-body", wrap: sending(func(r *http.Request) {
		r.GetBody = func() (io.ReadCloser, error) { return r.Body, nil }
	})},
	{name: "drops GetBody", caught: "body/get-body", wrap: sending(func(r *http.Request) { r.GetBody = nil })},
	{name: "loses a byte of large request bodies", caught: "body/large", wrap: sending(func(r *http.Request) {
		if body := r.Body; body != nil {
			r.Body = &funcBody{read: io.MultiReader(io.LimitReader(body, 1<<20), onRead(func() { body.Read(make([]byte, 1)) }), body).Read, close: body.Close}
		}
	})},
	{name: "gives up the body when there is an answer", caught: "body/early-answer", wrap: returning(func(r *http.Request, _ *http.Response) { r.Body.Close() })},
}

// valueless is a context without its parent's values.
type valueless struct{ context.Context }

func (valueless) Value(any) any { return nil }

// peek reads the first byte of a body, and puts it back.
var peek = sending(func(r *http.Request) {
	if body := r.Body; body != nil && body != http.NoBody {
		first := make([]byte, 1)
		n, _ := body.Read(first)
		r.Body = &funcBody{read: io.MultiReader(bytes.NewReader(first[:n]), body).Read, close: body.Close}
	}
})
