package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

const swr = "Cache-Control: max-age=10, stale-while-revalidate=600"

// untilStale fills a cache and waits until what it has is stale.
func untilStale(t *testing.T, client *http.Client) {
	get(t, t.Context(), client, pageURL)
	time.Sleep(time.Minute)
}

func TestRefreshesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, c := newClient(t, httpcache.Config{}, afterASecond(swr))
		untilStale(t, client)
		var wg sync.WaitGroup
		start := time.Now()
		for range 50 {
			wg.Go(func() {
				if got, resp := get(t, t.Context(), client, pageURL); got != "1" || resp.Header.Get("Cache-Status") != "belay; hit; ttl=-51; detail=stale-while-revalidate" {
					t.Errorf("%q, %s", got, resp.Header.Get("Cache-Status"))
				}
			})
		}
		wg.Wait()
		if time.Since(start) != 0 {
			t.Errorf("stale responses took %v", time.Since(start))
		}
		time.Sleep(2 * time.Second)
		if got, _ := get(t, t.Context(), client, pageURL); got != "2" || o.calls.Load() != 2 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
		if s := c.Stats(); s.Refreshed != 1 || s.Hits != 51 || s.Misses != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// The validation is not bound to the caller's context, but has its values.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		client, o, _ := newClient(t, httpcache.Config{}, nil)
		o.answer = func(n int64, r *http.Request) (*http.Response, error) {
			if deadline, ok := r.Context().Deadline(); n == 2 && (!ok || time.Until(deadline) != 30*time.Second) {
				t.Errorf("the deadline is %v, %v", deadline, ok)
			}
			if v := r.Context().Value(key{}); v != "value" {
				t.Errorf("the value is %v", v)
			}
			if n == 2 && httptrace.ContextClientTrace(r.Context()) != nil {
				t.Error("the caller's trace is still there")
			}
			return afterASecond(swr)(n, r)
		}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{})
		get(t, ctx, client, pageURL)
		time.Sleep(time.Minute)
		get(t, ctx, client, pageURL)
		cancel()
		time.Sleep(2 * time.Second)
		if got, _ := get(t, context.WithValue(t.Context(), key{}, "value"), client, pageURL); got != "2" || o.calls.Load() != 2 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	})
}

// What a refresh asks for is what was stored, whatever the caller wants of it.
func TestRefreshAsksForTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			if r.Method != "GET" || r.Header.Get("Range")+r.Header.Get("Cache-Control") != "" || n == 2 && r.Header.Get("If-None-Match") != `"a"` {
				t.Errorf("%s %v", r.Method, r.Header)
			}
			return answer(r, fmt.Sprint(n), swr, `Etag: "a"`), nil
		})
		untilStale(t, client)
		req, _ := http.NewRequestWithContext(t.Context(), "HEAD", pageURL, nil)
		req.Header = http.Header{"Range": {"bytes=0-0"}, "Cache-Control": {"x"}, "If-None-Match": {`"b"`}, "If-Modified-Since": {"x"}, "If-Range": {"x"}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		if got, _ := get(t, t.Context(), client, pageURL); got != "2" || o.calls.Load() != 2 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	})
}

// Close ends what runs and waits for it; nothing is started afterwards.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended bool
		client, o, c := newClient(t, httpcache.Config{}, nil)
		o.answer = func(n int64, r *http.Request) (*http.Response, error) {
			if n == 2 {
				<-r.Context().Done()
				time.Sleep(time.Second) // it takes its time
				ended = true
				return nil, r.Context().Err()
			}
			return answer(r, fmt.Sprint(n), swr), nil
		}
		untilStale(t, client)
		get(t, t.Context(), client, pageURL)
		synctest.Wait()
		start := time.Now()
		if c.Close(); !ended || time.Since(start) != time.Second {
			t.Errorf("Close returned after %v, ended: %v", time.Since(start), ended)
		}
		// From now on the caller has to wait itself.
		if got, _ := get(t, t.Context(), client, pageURL); got != "3" {
			t.Errorf("after Close: %q", got)
		}
		if got, _ := get(t, t.Context(), client, pageURL); got != "3" || o.calls.Load() != 3 {
			t.Errorf("after Close: %q, %d requests", got, o.calls.Load())
		}
		if c.Close() != nil {
			t.Error("the second Close failed")
		}
	})
}

func TestRefreshEvents(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		failed bool
	}{
		"304": {func(r *http.Request) (*http.Response, error) {
			resp := answer(r, "", swr, `Etag: "a"`)
			resp.StatusCode, resp.Body = 304, http.NoBody
			return resp, nil
		}, false},
		"200":      {func(r *http.Request) (*http.Response, error) { return answer(r, "", swr), nil }, false},
		"no-store": {func(r *http.Request) (*http.Response, error) { return answer(r, "x"), nil }, false},
		"503": {func(r *http.Request) (*http.Response, error) {
			resp := answer(r, "x", swr)
			resp.StatusCode = 503
			return resp, nil
		}, true},
		"error": {func(r *http.Request) (*http.Response, error) { return nil, errors.New("down") }, true},
		"panic": {func(r *http.Request) (*http.Response, error) { panic("oops") }, true},
		"truncated": {func(r *http.Request) (*http.Response, error) {
			resp := answer(r, "x", swr)
			resp.ContentLength = 5
			return resp, nil
		}, false},
		"never": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				events := map[httpcache.Kind]httpcache.Event{}
				client, o, _ := newClient(t, httpcache.Config{RefreshTimeout: time.Second, Observe: func(_ context.Context, e httpcache.Event) {
					mu.Lock()
					defer mu.Unlock()
					events[e.Kind] = e
				}}, func(n int64, r *http.Request) (*http.Response, error) {
					if n == 1 {
						return answer(r, "ok", swr, `Etag: "a"`), nil
					}
					return tt.answer(r)
				})
				untilStale(t, client)
				get(t, t.Context(), client, pageURL)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if e, ok := events[httpcache.Refreshed]; !ok || (e.Err != nil) != tt.failed || (events[httpcache.Invalidated].Entries == 1) != (name == "no-store") {
					t.Errorf("%v", events)
				}
				// However it ended, it does not stand in the way of the next.
				time.Sleep(time.Minute)
				get(t, t.Context(), client, pageURL)
				time.Sleep(2 * time.Second)
				if n := o.calls.Load(); n != 3 {
					t.Errorf("%d requests, want 3", n)
				}
			})
		})
	}
}

// A request that may not use the stale response waits for the refresh that is under
// way.
func TestMissJoinsRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, afterASecond("Cache-Control: max-age=10, stale-while-revalidate=60"))
		untilStale(t, client)
		get(t, t.Context(), client, pageURL) // at 60 s of 70
		time.Sleep(time.Second / 2)
		start := time.Now()
		got, _ := get(t, t.Context(), client, pageURL, "Cache-Control: max-age=1000")
		if d := time.Since(start); got != "2" || o.calls.Load() != 2 || d != time.Second/2 {
			t.Errorf("%q after %d requests and %v", got, o.calls.Load(), d)
		}
	})
}
