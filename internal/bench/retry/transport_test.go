package retry_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/bench/instant"
	"github.com/belay-go/belay/retry"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/hashicorp/go-retryablehttp"
)

// A request is made, sent and its answer read in the way each library is meant to
// be used. The policies allow three attempts without delay, and POST requests have
// an Idempotency-Key. retryablehttp gets their body as a slice, which it need not
// copy.

const url = "http://backend.example/item"

var body = bytes.Repeat([]byte("x"), 1024)

func belayClient(base http.RoundTripper) *http.Client {
	policy := retry.New(retry.Config{Schedule: retry.Constant(0)})
	return &http.Client{Transport: &retry.Transport{Base: base, Policy: policy}}
}

func failsafeClient(base http.RoundTripper) *http.Client {
	return &http.Client{Transport: failsafehttp.NewRoundTripper(base, failsafehttp.NewRetryPolicyBuilder().WithMaxRetries(2).Build())}
}

func retryableClient(base http.RoundTripper) *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.HTTPClient = &http.Client{Transport: base}
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = 2, time.Nanosecond, time.Nanosecond
	c.Logger = nil
	return c
}

// mustRepeat fails the benchmark unless send repeats a request that got a 503.
func mustRepeat(b *testing.B, send func(base http.RoundTripper) (*http.Response, error)) {
	b.Helper()
	base := &instant.Outage{Failures: 1}
	resp, err := send(base)
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || base.Requests != 2 {
		b.Fatalf("after a 503, %d requests were sent and the answer is %s; want 2 and 200 OK", base.Requests, resp.Status)
	}
}

func transportGet(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) { return belayClient(base).Get(url) })
		client, ctx := belayClient(instant.Transport{}), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) { return failsafeClient(base).Get(url) })
		client, ctx := failsafeClient(instant.Transport{}), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("retryablehttp", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) { return retryableClient(base).Get(url) })
		client, ctx := retryableClient(instant.Transport{}), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("floor", func(b *testing.B) {
		client, ctx := &http.Client{Transport: instant.Transport{}}, b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
}

// post makes the request for the checks; the loops write it out.
func post(b *testing.B) *http.Request {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "1")
	return req
}

func transportPost(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) { return belayClient(base).Do(post(b)) })
		client, ctx := belayClient(instant.Transport{}), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Idempotency-Key", "1")
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("failsafe", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) { return failsafeClient(base).Do(post(b)) })
		client, ctx := failsafeClient(instant.Transport{}), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Idempotency-Key", "1")
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("retryablehttp", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) {
			req, err := retryablehttp.FromRequest(post(b))
			if err != nil {
				return nil, err
			}
			return retryableClient(base).Do(req)
		})
		client, ctx := retryableClient(instant.Transport{}), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, url, body)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Idempotency-Key", "1")
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("floor", func(b *testing.B) {
		client, ctx := &http.Client{Transport: instant.Transport{}}, b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Idempotency-Key", "1")
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
}
