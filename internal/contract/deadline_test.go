package contract_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// in returns base with requests in the context that derive makes of theirs.
func in(base http.RoundTripper, derive func(context.Context) (context.Context, context.CancelFunc)) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		ctx, cancel := derive(req.Context())
		defer cancel()
		req = req.WithContext(ctx)
		if ctx.Done() == nil {
			//lint:ignore SA1019 http.Client sets it, and who cuts off one cuts off both
			req.Cancel = nil
		}
		return base.RoundTrip(req)
	})
}

// hung is a backend that never answers. In a context without an end it gives up after
// an hour. Its errors are a driver's: nothing but text.
var hung = roundTrip(func(req *http.Request) (*http.Response, error) {
	select {
	case <-req.Context().Done():
		return nil, errors.New("driver: operation aborted")
	case <-time.After(time.Hour):
		return nil, errors.New("driver: no answer")
	}
})

// plainly is hung with the errors of contexts.
var plainly = roundTrip(func(req *http.Request) (*http.Response, error) {
	resp, err := hung.RoundTrip(req)
	if ctxErr := req.Context().Err(); ctxErr != nil {
		return nil, ctxErr
	}
	return resp, err
})

// Whoever has set a deadline, and whatever contexts and drivers are between: for who
// looks at the end of the call a deadline is a failure of the backend, and a caller who
// leaves is nobody's.
func TestDeadlinesAreFailuresAndCancelsAreNobodys(t *testing.T) {
	const limit = time.Second
	type call struct {
		deadline, client, attempt, between time.Duration
		cancel                             time.Duration
	}
	setters := []struct {
		name string
		call
	}{
		{"the caller", call{deadline: limit}},
		{"Client.Timeout", call{client: limit}},
		{"AttemptTimeout", call{attempt: limit}},
		{"a layer between", call{between: limit}},
		{"nobody, the caller leaves", call{cancel: limit}},
	}
	layers := []struct {
		name     string
		base     http.RoundTripper
		detached bool // the end of the call is not seen below
		derive   func(context.Context) (context.Context, context.CancelFunc)
	}{
		{"a value", plainly, false, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithValue(ctx, call{}, 1), func() {}
		}},
		{"a cancel", plainly, false, context.WithCancel},
		{"a longer deadline", plainly, false, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Minute)
		}},
		{"no cancel", plainly, true, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithoutCancel(ctx), func() {}
		}},
		{"a driver", hung, false, context.WithCancel},
	}
	for _, s := range setters {
		for _, l := range layers {
			// below puts what a layer between does above rt.
			below := func(rt http.RoundTripper) http.RoundTripper {
				rt = in(rt, l.derive)
				if s.between > 0 {
					rt = in(rt, func(ctx context.Context) (context.Context, context.CancelFunc) {
						return context.WithTimeout(ctx, s.between)
					})
				}
				return rt
			}
			send := func(t *testing.T, rt http.RoundTripper) error {
				ctx := t.Context()
				if s.deadline > 0 {
					timeout, cancel := context.WithTimeout(ctx, s.deadline)
					defer cancel()
					ctx = timeout
				}
				if s.cancel > 0 {
					leaving, cancel := context.WithCancel(ctx)
					time.AfterFunc(s.cancel, cancel)
					ctx = leaving
				}
				req, err := http.NewRequestWithContext(ctx, "GET", "http://a.test/", nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = (&http.Client{Transport: rt, Timeout: s.client}).Do(req)
				if err == nil {
					t.Fatal("a response of a backend that hangs")
				}
				return err
			}
			// policy limits the attempts to one, where somebody else looks.
			policy := func(attempts int) *retry.Policy {
				return retry.New(retry.Config{MaxAttempts: attempts, AttemptTimeout: s.attempt, Schedule: retry.Constant(0)})
			}
			name := s.name + "/" + l.name
			failure := s.cancel == 0 || l.detached // without an end of its context a call has failed by itself
			t.Run(name+"/breaker", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := breaker.New(breaker.Config{})
					send(t, &retry.Transport{Policy: policy(1), Base: below(&breaker.Transport{Breaker: b, Base: l.base})})
					if n := b.Stats().InARow; (n == 1) != failure {
						t.Errorf("%d failures", n)
					}
				})
			})
			t.Run(name+"/balancer", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, err := loadbalance.Hosts("http://b.test")
					if err != nil {
						t.Fatal(err)
					}
					defer b.Close()
					send(t, &retry.Transport{Policy: policy(1), Base: below(&loadbalance.Transport{Balancer: b, Base: l.base})})
					if rate := b.Stats().Endpoints[0].FailureRate; (rate > 0) != failure {
						t.Errorf("failure rate %v", rate)
					}
				})
			})
			t.Run(name+"/retry", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					attempts := 0
					err := send(t, &retry.Transport{Policy: policy(3), Base: below(roundTrip(func(req *http.Request) (*http.Response, error) {
						attempts++
						return l.base.RoundTrip(req)
					}))})
					// A caller who has no time left, or no interest, gets no second attempt.
					want := 3
					if s.deadline+s.client+s.cancel > 0 {
						want = 1
					}
					if attempts != want {
						t.Errorf("%d attempts, want %d; error %v", attempts, want, err)
					}
				})
			})
		}
	}
}
