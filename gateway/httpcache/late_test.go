package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// A validation in the background whose Base does not end with its context holds up
// neither the next one nor Close. What it brings at last is not taken for new.
func TestLateRefreshesHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ended []error
		release := make(chan bool)
		client, o, c := newClient(t, httpcache.Config{RefreshTimeout: 10 * time.Second, Observe: func(_ context.Context, e httpcache.Event) {
			if e.Kind == httpcache.Refreshed {
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, e.Err)
			}
		}}, func(n int64, r *http.Request) (*http.Response, error) {
			if n == 2 {
				<-release // and does not look at its context
			}
			return answer(r, fmt.Sprint(n), "Cache-Control: max-age=10, stale-while-revalidate=86400"), nil
		})
		untilStale(t, client)
		get(t, t.Context(), client, pageURL)
		time.Sleep(9 * time.Second)
		get(t, t.Context(), client, pageURL)
		synctest.Wait()
		if n := o.calls.Load(); n != 2 {
			t.Errorf("%d requests before the time is over, want 2", n)
		}
		time.Sleep(4 * time.Second) // with what a failed validation is followed by
		get(t, t.Context(), client, pageURL)
		synctest.Wait()
		if got, _ := get(t, t.Context(), client, pageURL); got != "3" {
			t.Errorf("got %q, want the third answer", got)
		}
		if s := c.Stats(); s.Refreshed != 2 || s.Failed != 1 || len(ended) != 2 || !errors.Is(ended[0], context.DeadlineExceeded) || ended[1] != nil {
			t.Errorf("%+v, %v", s, ended)
		}
		close(release)
		synctest.Wait()
		if got, _ := get(t, t.Context(), client, pageURL); got != "3" || c.Stats().Refreshed != 2 {
			t.Errorf("got %q, %+v", got, c.Stats())
		}
	})
}

// Close does not wait for what hangs for longer than its time.
func TestCloseWaitsForLateRefreshesNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		defer close(release)
		client, _, c := newClient(t, httpcache.Config{RefreshTimeout: 10 * time.Second}, func(n int64, r *http.Request) (*http.Response, error) {
			if n == 2 {
				<-release
			}
			return answer(r, "ok", swr), nil
		})
		untilStale(t, client)
		get(t, t.Context(), client, pageURL)
		start := time.Now()
		if c.Close(); time.Since(start) > 11*time.Second {
			t.Errorf("Close took %v", time.Since(start))
		}
	})
}

// However many pages hang, and for however long, there are so many goroutines and no
// more. Then callers ask for themselves.
func TestLateRefreshesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		var hanging, most atomic.Int64
		release := make(chan bool)
		before := runtime.NumGoroutine()
		client, _, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			if _, background := r.Context().Deadline(); hang.Load() && background {
				most.Store(max(most.Load(), hanging.Add(1)))
				<-release
				hanging.Add(-1)
			}
			return answer(r, fmt.Sprint(n), "Cache-Control: max-age=10, stale-while-revalidate=864000"), nil
		})
		for i := range 4 {
			get(t, t.Context(), client, fmt.Sprint(pageURL, i))
		}
		time.Sleep(time.Minute)
		hang.Store(true)
		for range 1000 {
			for i := range 4 {
				get(t, t.Context(), client, fmt.Sprint(pageURL, i))
			}
			time.Sleep(11 * time.Second)
		}
		if n := most.Load(); n < 16 || n > 16+4 {
			t.Errorf("%d validations hang, want at most 16, and those whose time is not over", n)
		}
		if n := runtime.NumGoroutine() - before; n > 16+4+2 {
			t.Errorf("%d goroutines", n)
		}
		if s := c.Stats(); s.Misses < 5 {
			t.Errorf("nobody has asked for himself: %+v", s)
		}
		hang.Store(false)
		close(release)
		synctest.Wait()
		refreshed := c.Stats().Refreshed
		time.Sleep(time.Minute)
		get(t, t.Context(), client, pageURL+"1")
		synctest.Wait()
		if n := c.Stats().Refreshed; n != refreshed+1 {
			t.Errorf("%d validations since, want 1", n-refreshed)
		}
	})
}
