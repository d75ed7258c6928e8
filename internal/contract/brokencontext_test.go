package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var brokenContexts = []broken{
	{name: "sends although the context is done", caught: "cancel/before-sending", wrap: inContext(context.WithoutCancel)},
	{name: "cannot be canceled", caught: "cancel/awaiting-headers", wrap: inContext(context.WithoutCancel)},
	{name: "loses the error's identity", caught: "cancel/awaiting-headers-protocol", wrap: failing(asText)},
	{name: "takes a canceled body for a complete one", caught: "cancel/reading-body", wrap: bodyReading(endWell)},
	{name: "sleeps between attempts", caught: "cancel/between-attempts", traits: Traits{Repeats: true}, wrap: again(2, anything, func(context.Context) error {
		time.Sleep(time.Second)
		return nil
	})},
	{name: "returns an error of its own when woken", caught: "cancel/between-attempts", traits: Traits{Repeats: true}, wrap: again(2, anything, func(ctx context.Context) error {
		select {
		case <-time.After(time.Second):
			return nil
		case <-ctx.Done():
			return errors.New("interrupted")
		}
	})},
	{name: "derives a context that is canceled without the cause", caught: "cancel/cause", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(r.Context(), cancel)()
		return base.RoundTrip(r.WithContext(ctx))
	})},
	{name: "loses the error's identity", caught: "cancel/deadline", wrap: failing(asText)},
	{name: "does not pass the deadline on", caught: "cancel/deadline", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
		defer cancel()
		return base.RoundTrip(r.WithContext(ctx))
	})},
	{name: "hides that an error is a timeout", caught: "cancel/client-timeout", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		// A moment before http.Client would notice itself.
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		_, err := base.RoundTrip(r.WithContext(ctx))
		return nil, asText(r, err)
	})},
	{name: "takes a body that timed out for a complete one", caught: "cancel/client-timeout-body", wrap: bodyReading(endWell)},
	{name: "cancels its context when RoundTrip returns", caught: "cancel/context-lives", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		return base.RoundTrip(r.WithContext(ctx))
	})},
	{name: "cancels the context of a second attempt when RoundTrip returns", caught: "cancel/context-lives", traits: Traits{Repeats: true}, wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil || r.Method != "GET" {
			return resp, err
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		return base.RoundTrip(r.WithContext(ctx))
	})},
	{name: "never cancels its context", caught: "cancel/context-ends", wrap: inContext(func(ctx context.Context) context.Context {
		ctx, _ = cancelable(ctx)
		return ctx
	})},
	{name: "cancels its context only when the body is closed", caught: "cancel/context-ends", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		ctx, cancel := cancelable(r.Context())
		resp, err := base.RoundTrip(r.WithContext(ctx))
		if err != nil {
			cancel()
			return nil, err
		}
		body := resp.Body
		resp.Body = &funcBody{read: body.Read, close: func() error { cancel(); return body.Close() }}
		return resp, nil
	})},
	{name: "loses the error's identity", caught: "errors/unwrap", wrap: failing(asText)},
	{name: "adds a *url.Error", caught: "errors/unwrap", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		return (&http.Client{Transport: base, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	})},
	{name: "hides that an error is a timeout", caught: "errors/timeout", wrap: failing(asText)},
	{name: "loses the error's identity", caught: "errors/dial", wrap: failing(asText)},
	{name: "tries everything again", caught: "errors/certificate", traits: Traits{Repeats: true}, wrap: again(3, anything, noWait)},
	{name: "tries everything again", caught: "errors/hopeless-sent-once", traits: Traits{Repeats: true}, wrap: again(3, anything, noWait)},
	{name: "has the URL in its errors", caught: "errors/no-secrets", wrap: failing(func(r *http.Request, err error) error {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
	})},
	{name: "redacts the password only", caught: "errors/no-secrets", wrap: failing(func(r *http.Request, err error) error {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Redacted(), err)
	})},
}

// cancelable keeps vet from seeing that a cancel function is dropped.
func cancelable(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
