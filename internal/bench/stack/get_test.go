package stack_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/belay-go/belay/internal/bench/instant"
	"github.com/hashicorp/go-retryablehttp"
)

func get(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) { return belayClient(base).Get(url) })
		mustBreak(b, belayClient)
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
	b.Run("failsafehttp", func(b *testing.B) {
		mustRepeat(b, func(base http.RoundTripper) (*http.Response, error) { return failsafeClient(base).Get(url) })
		mustBreak(b, failsafeClient)
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
	b.Run("gobreaker", func(b *testing.B) {
		mustBreak(b, gobreakerClient)
		client, ctx := gobreakerClient(instant.Transport{}), b.Context()
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
