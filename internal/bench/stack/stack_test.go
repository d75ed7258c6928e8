// Package stack_test measures whole stacks of layers around an HTTP client: the
// work of retry, breaker and rate limit for a request that succeeds at once.
//
// The floor is an http.Client without any; what a stack adds to it is what counts.
package stack_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/internal/bench/instant"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/sony/gobreaker/v2"
)

func BenchmarkStack(b *testing.B) {
	b.Run("get", get)
	b.Run("post", post)
}

const url = "http://backend.example/item"

var body = bytes.Repeat([]byte("x"), 1024)

// All layers: belay and failsafehttp.

func belayClient(base http.RoundTripper) *http.Client {
	return &http.Client{Transport: &retry.Transport{
		Policy: retry.New(retry.Config{Schedule: retry.Constant(0)}),
		Base: &breaker.Transport{
			Base: &ratelimit.Transport{
				Limiter: ratelimit.New(ratelimit.Config{Rate: 1e9, Burst: 1_000_000}),
				Base:    base,
			},
		},
	}}
}

func failsafeClient(base http.RoundTripper) *http.Client {
	failed := func(resp *http.Response, err error) bool { return err != nil || resp.StatusCode >= 500 }
	return &http.Client{Transport: failsafehttp.NewRoundTripper(base,
		failsafehttp.NewRetryPolicyBuilder().WithMaxRetries(2).AbortOnErrors(circuitbreaker.ErrOpen).Build(),
		circuitbreaker.NewBuilder[*http.Response]().HandleIf(failed).
			WithFailureRateThreshold(0.5, 20, 10*time.Second).WithDelay(time.Hour).Build(),
		ratelimiter.NewBursty[*http.Response](1e9, time.Second),
	)}
}

// A single layer, for scale: retryablehttp retries, gobreaker breaks.

func retryableClient(base http.RoundTripper) *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.HTTPClient = &http.Client{Transport: base}
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = 2, time.Nanosecond, time.Nanosecond
	c.Logger = nil
	return c
}

func gobreakerClient(base http.RoundTripper) *http.Client {
	return &http.Client{Transport: &gobreakerTransport{base, gobreaker.NewCircuitBreaker[*http.Response](gobreaker.Settings{
		Interval:     10 * time.Second,
		BucketPeriod: time.Second,
		Timeout:      time.Hour,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.Requests >= 20 && 2*c.TotalFailures >= c.Requests },
	})}}
}

// gobreakerTransport is what one writes around gobreaker by hand.
type gobreakerTransport struct {
	base    http.RoundTripper
	breaker *gobreaker.CircuitBreaker[*http.Response]
}

type statusError struct{ resp *http.Response }

func (e *statusError) Error() string { return fmt.Sprint("status ", e.resp.Status) }

func (t *gobreakerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.breaker.Execute(func() (*http.Response, error) {
		resp, err := t.base.RoundTrip(req)
		if err == nil && resp.StatusCode >= 500 {
			err = &statusError{resp}
		}
		return resp, err
	})
	if failed, ok := errors.AsType[*statusError](err); ok {
		return failed.resp, nil
	}
	return resp, err
}

// mustRepeat fails the benchmark unless get repeats a request that got a 503.
func mustRepeat(b *testing.B, get func(base http.RoundTripper) (*http.Response, error)) {
	b.Helper()
	base := &instant.Outage{Failures: 1}
	resp, err := get(base)
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || base.Requests != 2 {
		b.Fatalf("after a 503, %d requests were sent and the answer is %s; want 2 and 200 OK", base.Requests, resp.Status)
	}
}

// mustBreak fails the benchmark unless a client that gets only 503s soon stops
// sending requests.
func mustBreak(b *testing.B, client func(base http.RoundTripper) *http.Client) {
	b.Helper()
	base := &instant.Outage{Failures: 1 << 30}
	c := client(base)
	for range 500 {
		before := base.Requests
		resp, err := c.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		if base.Requests == before {
			return
		}
	}
	b.Fatal("500 failures have not opened the breaker")
}
