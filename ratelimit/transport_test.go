package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"golang.org/x/time/rate"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

type body struct {
	io.Reader
	closed int
}

func (b *body) Close() error { b.closed++; return nil }

var ok = roundTrip(func(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
})

func TestTransportPaces(t *testing.T) {
	for name, w := range map[string]ratelimit.Waiter{
		"Limiter":     ratelimit.New(ratelimit.Config{Rate: 10}),
		"x/time/rate": rate.NewLimiter(10, 1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if name == "Limiter" { // its times belong to the bubble
					w = ratelimit.New(ratelimit.Config{Rate: 10})
				}
				rt := &ratelimit.Transport{Base: ok, Limiter: w}
				start := time.Now()
				for range 11 {
					req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
					if _, err := rt.RoundTrip(req); err != nil {
						t.Fatal(err)
					}
				}
				if got := time.Since(start); got != time.Second {
					t.Errorf("eleven requests took %v, want 1s", got)
				}
			})
		})
	}
}

func TestTransportRefuses(t *testing.T) {
	errForeign := errors.New("foreign limiter")
	for name, tt := range map[string]struct {
		waiter ratelimit.Waiter
		want   error
	}{
		"Limiter": {waitFunc(func(ctx context.Context) error {
			l := ratelimit.New(ratelimit.Config{Rate: 1})
			l.Allow()
			return l.Wait(ctx)
		}), ratelimit.ErrDeadline},
		"foreign": {waitFunc(func(context.Context) error { return errForeign }), errForeign},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			rt := &ratelimit.Transport{Limiter: tt.waiter, Base: roundTrip(func(*http.Request) (*http.Response, error) {
				t.Error("the request was sent")
				return nil, errForeign
			})}
			b := &body{Reader: strings.NewReader("x")}
			req, _ := http.NewRequestWithContext(ctx, "POST", "http://a.test/", b)
			_, err := rt.RoundTrip(req)
			e, ok := errors.AsType[*ratelimit.Error](err)
			if !ok || !e.Rejected() || !errors.Is(err, ratelimit.ErrLimited) || !errors.Is(err, tt.want) {
				t.Errorf("error %v", err)
			}
			if b.closed == 0 {
				t.Error("the request's body is open")
			}
		})
	}
}

type waitFunc func(context.Context) error

func (f waitFunc) Wait(ctx context.Context) error { return f(ctx) }

func TestTransportZeroValuePasses(t *testing.T) {
	rt := &ratelimit.Transport{Base: ok}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
	for range 100 {
		if _, err := rt.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
}

// A place is held until the body has ended, whichever way it does.
func TestTransportHoldsPlace(t *testing.T) {
	for name, end := range map[string]func(*http.Response){
		"closed": func(resp *http.Response) { resp.Body.Close() },
		"read":   func(resp *http.Response) { io.Copy(io.Discard, resp.Body) },
		"both":   func(resp *http.Response) { io.Copy(io.Discard, resp.Body); resp.Body.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bulkhead := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1, Queue: -1})
			rt := &ratelimit.Transport{Concurrency: bulkhead, Base: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: &body{Reader: strings.NewReader("abc")}}, nil
			})}
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
			for range 3 {
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := rt.RoundTrip(req); !errors.Is(err, ratelimit.ErrFull) {
					t.Errorf("error %v while the body is open", err)
				}
				end(resp)
				if n := bulkhead.Stats().InUse; n != 0 {
					t.Errorf("%d places in use at the end", n)
				}
			}
		})
	}
}

// A place is free again when there is no response, and when the limit refuses.
func TestTransportGivesPlaceBack(t *testing.T) {
	errBase := errors.New("base")
	for name, tt := range map[string]struct {
		base http.RoundTripper
		wait func(*http.Request) error
	}{
		"error":       {base: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errBase })},
		"no response": {base: roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil })},
		"no body":     {base: ok},
		"panic":       {base: roundTrip(func(*http.Request) (*http.Response, error) { panic("base") })},
		"refused":     {base: ok, wait: func(*http.Request) error { return errBase }},
		"wait panics": {base: ok, wait: func(*http.Request) error { panic("wait") }},
	} {
		t.Run(name, func(t *testing.T) {
			bulkhead := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1})
			rt := &ratelimit.Transport{Concurrency: bulkhead, Base: tt.base, Wait: tt.wait}
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
			func() {
				defer func() { recover() }()
				_, err := rt.RoundTrip(req)
				if e, ok := errors.AsType[*ratelimit.Error](err); ok != (name == "refused") || ok && (!errors.Is(e, errBase) || !e.Rejected()) {
					t.Errorf("error %v", err)
				}
			}()
			if n := bulkhead.Stats().InUse; n != 0 {
				t.Errorf("%d places in use", n)
			}
		})
	}
}

type acquireFunc func(context.Context) (ratelimit.Permit, error)

func (f acquireFunc) Acquire(ctx context.Context) (ratelimit.Permit, error) { return f(ctx) }

func TestTransportForeignAcquirer(t *testing.T) {
	errForeign := errors.New("foreign")
	b := &body{Reader: strings.NewReader("x")}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.test/", b)
	rt := &ratelimit.Transport{Base: ok, Concurrency: acquireFunc(func(context.Context) (ratelimit.Permit, error) {
		return ratelimit.Permit{}, errForeign
	})}
	_, err := rt.RoundTrip(req)
	if e, ok := errors.AsType[*ratelimit.Error](err); !ok || !e.Rejected() || !errors.Is(err, errForeign) || b.closed == 0 {
		t.Errorf("error %v, body closed %d times", err, b.closed)
	}
}
