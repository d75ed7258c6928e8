package contract

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// broken is a wrapper with one mistake, and the case that is made for it.
type broken struct {
	name   string
	caught string
	traits Traits
	wrap   func(base http.RoundTripper) http.RoundTripper
}

// TestBroken checks that each case finds the mistake that it is made for.
func TestBroken(t *testing.T) {
	cases := make(map[string]testCase)
	for _, tc := range table() {
		cases[tc.name] = tc
	}
	used := make(map[string]bool)
	var wg sync.WaitGroup
	running := make(chan bool, 4) // some wait for what never comes
	for _, b := range slices.Concat(brokenRequests, brokenResponses, brokenContexts, brokenAttempts) {
		tc, ok := cases[b.caught]
		if !ok {
			t.Errorf("there is no case %s", b.caught)
			continue
		}
		used[b.caught] = true
		running <- true
		wg.Go(func() {
			defer func() { <-running }()
			for _, over := range tc.protocols() {
				if r := record(t, tc, over, b.traits, b.wrap); r.Failed() {
					t.Logf("broken wrapper %q: caught by case %s: %s", b.name, tc.title(over), r.first())
					return
				}
			}
			t.Errorf("broken wrapper %q: not caught by case %s", b.name, b.caught)
		})
	}
	wg.Wait()
	for name := range cases {
		if !used[name] {
			t.Errorf("no broken wrapper shows that case %s works", name)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// with makes a wrapper of a function.
func with(f func(base http.RoundTripper, r *http.Request) (*http.Response, error)) func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) { return f(base, r) })
	}
}

// sending makes a wrapper that sends a changed copy of the request.
func sending(change func(r *http.Request)) func(http.RoundTripper) http.RoundTripper {
	return with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		sent := new(*r)
		change(sent)
		resp, err := base.RoundTrip(sent)
		if resp != nil {
			resp.Request = r
		}
		return resp, err
	})
}

// inContext makes a wrapper that sends the request in another context.
func inContext(derive func(context.Context) context.Context) func(http.RoundTripper) http.RoundTripper {
	return with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r.WithContext(derive(r.Context())))
		if resp != nil {
			resp.Request = r
		}
		return resp, err
	})
}

// returning makes a wrapper that changes the response.
func returning(change func(r *http.Request, resp *http.Response)) func(http.RoundTripper) http.RoundTripper {
	return with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil {
			change(r, resp)
		}
		return resp, err
	})
}

// bodyReading makes a wrapper that puts a reader around the response's body.
func bodyReading(read func(body io.Reader, p []byte) (int, error)) func(http.RoundTripper) http.RoundTripper {
	return returning(func(_ *http.Request, resp *http.Response) {
		body := resp.Body
		resp.Body = &funcBody{read: func(p []byte) (int, error) { return read(body, p) }, close: body.Close}
	})
}

type funcBody struct {
	read  func([]byte) (int, error)
	close func() error
}

func (b *funcBody) Read(p []byte) (int, error) { return b.read(p) }
func (b *funcBody) Close() error               { return b.close() }

func nothing() error { return nil }

// failing makes a wrapper that changes the error.
func failing(change func(r *http.Request, err error) error) func(http.RoundTripper) http.RoundTripper {
	return with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err != nil {
			err = change(r, err)
		}
		return resp, err
	})
}

func asText(_ *http.Request, err error) error { return errors.New(err.Error()) }

// endWell makes io.EOF of every error.
func endWell(body io.Reader, p []byte) (int, error) {
	n, err := body.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}
