package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// afterASecond answers with the number of the call and these fields.
func afterASecond(fields ...string) func(int64, *http.Request) (*http.Response, error) {
	return func(n int64, r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(time.Second):
			return answer(r, fmt.Sprint(n), fields...), nil
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

func TestCollapsing(t *testing.T) {
	for name, tt := range map[string]struct {
		fields   []string
		variants int // of the callers, by the field A
		requests int64
		took     time.Duration
	}{
		"storable": {[]string{"Cache-Control: max-age=60"}, 1, 1, time.Second},
		// All who have waited for what they may not use go at once, and from then on
		// nobody waits.
		"not storable": {[]string{"Cache-Control: no-store"}, 1, 1000, 2 * time.Second},
		"no-cache":     {[]string{"Cache-Control: no-cache", `Etag: "a"`}, 1, 1000, 2 * time.Second},
		"two variants": {[]string{"Cache-Control: max-age=60", "Vary: A"}, 2, 2, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, o, c := newClient(t, httpcache.Config{}, afterASecond(tt.fields...))
				start := time.Now()
				var wg sync.WaitGroup
				for i := range 1000 {
					wg.Go(func() {
						get(t, t.Context(), client, pageURL, fmt.Sprintf("A: %d", i%tt.variants))
					})
				}
				wg.Wait()
				if n := o.calls.Load(); n != tt.requests {
					t.Errorf("%d requests, want %d", n, tt.requests)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				if s := c.Stats(); s.Misses != uint64(tt.requests) || s.Collapsed != 1000-uint64(tt.requests) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// So do validations in the foreground.
func TestCollapsesValidations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			resp := answer(r, "ok", "Cache-Control: max-age=10", `Etag: "a"`)
			if r.Header.Get("If-None-Match") != "" {
				resp.StatusCode, resp.Body = 304, http.NoBody
			}
			return resp, nil
		})
		untilStale(t, client)
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got, _ := get(t, t.Context(), client, pageURL); got != "ok" {
					t.Errorf("got %q", got)
				}
			})
		}
		wg.Wait()
		if n := o.calls.Load(); n != 2 || time.Since(start) != time.Second {
			t.Errorf("%d requests, %v", n, time.Since(start))
		}
	})
}

func TestDoesNotMakeTheUncacheableWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := newClient(t, httpcache.Config{}, afterASecond())
		get(t, t.Context(), client, pageURL)
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { get(t, t.Context(), client, pageURL) })
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("ten at once took %v", took)
		}
	})
}

// What has to be validated each time, too.
func TestDoesNotMakeNoCacheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := newClient(t, httpcache.Config{}, afterASecond("Cache-Control: no-cache", `Etag: "a"`))
		get(t, t.Context(), client, pageURL)
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { get(t, t.Context(), client, pageURL) })
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("ten at once took %v", took)
		}
	})
}

// What has become storable makes them wait again.
func TestCollapsesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			return afterASecond([]string{"A: b", "Cache-Control: max-age=5"}[min(n-1, 1)])(n, r)
		})
		get(t, t.Context(), client, pageURL)
		get(t, t.Context(), client, pageURL)
		time.Sleep(10 * time.Second)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { get(t, t.Context(), client, pageURL) })
		}
		wg.Wait()
		if n := o.calls.Load(); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
	})
}

// Between looking a response up and asking for it, another request may have stored it.
func TestCollapsingWithoutPause(t *testing.T) {
	client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", "Cache-Control: max-age=60"), nil
	})
	for i := range int64(200) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { get(t, t.Context(), client, fmt.Sprintf("%s%d", pageURL, i)) })
		}
		wg.Wait()
		if n := o.calls.Load(); n != i+1 {
			t.Fatalf("%d requests, want %d", n, i+1)
		}
	}
}

// Requests with other credentials never share a response.
func TestCollapsesWithinPartitionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return answer(r, r.Header.Get("Authorization"), "Cache-Control: max-age=60"), nil
		})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				name := fmt.Sprint(i % 5)
				if got, _ := get(t, t.Context(), client, pageURL, "Authorization: "+name); got != name {
					t.Errorf("%s got the response of %s", name, got)
				}
			})
		}
		wg.Wait()
		if n := o.calls.Load(); n != 5 {
			t.Errorf("%d requests, want 5", n)
		}
	})
}
