package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// An error of the origin is the answer to all who wait; so none of them waits longer
// for it than the first.
func TestCacheSharesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		client, o, _ := cachedClient(t, gateway.CacheConfig{}, func(int64, *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return nil, down
		})
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := client.Get(cacheURL); !errors.Is(err, down) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := o.calls.Load(); n != 1 || time.Since(start) != time.Second {
			t.Errorf("%d requests, %v", n, time.Since(start))
		}
	})
}

// A panic or a runtime.Goexit below leaves nobody waiting.
func TestCacheLeaderPanics(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, o, _ := cachedClient(t, gateway.CacheConfig{}, nil)
				o.answer = func(n int64, r *http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					if n == 1 {
						end()
					}
					return cacheAnswer(r, "ok", "Cache-Control: max-age=60"), nil
				}
				go func() {
					defer func() { recover() }()
					client.Get(cacheURL)
				}()
				synctest.Wait()
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						if got, _ := cacheGet(t, t.Context(), client, cacheURL); got != "ok" {
							t.Errorf("got %q", got)
						}
					})
				}
				wg.Wait()
				if n := o.calls.Load(); n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
			})
		})
	}
}

// cacheRefusal is a refusal by a layer below, as an open breaker's.
type cacheRefusal struct{}

func (cacheRefusal) Error() string  { return "the breaker is open" }
func (cacheRefusal) Rejected() bool { return true }

// All who wait get the stale response if the origin fails.
func TestCacheStaleIfErrorForAll(t *testing.T) {
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"refused": func(*http.Request) (*http.Response, error) { return nil, cacheRefusal{} },
		"timeout": func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded },
		"503": func(r *http.Request) (*http.Response, error) {
			resp := cacheAnswer(r, "sorry")
			resp.StatusCode = 503
			return resp, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stale []gateway.CacheEvent
				var mu sync.Mutex
				client, o, c := cachedClient(t, gateway.CacheConfig{Observe: func(_ context.Context, e gateway.CacheEvent) {
					if e.Kind == gateway.CacheStale {
						mu.Lock()
						defer mu.Unlock()
						stale = append(stale, e)
					}
				}}, func(n int64, r *http.Request) (*http.Response, error) {
					if n == 1 {
						return cacheAnswer(r, "ok", "Cache-Control: max-age=10, stale-if-error=60"), nil
					}
					time.Sleep(time.Second)
					return fail(r)
				})
				cacheGet(t, t.Context(), client, cacheURL)
				time.Sleep(20 * time.Second)
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						got, resp := cacheGet(t, t.Context(), client, cacheURL)
						if got != "ok" {
							t.Errorf("got %q", got)
							return
						}
						if s, ok := gateway.StatusOf(resp); !ok || !s.Hit || s.TTL != -11*time.Second || s.Detail != "stale-if-error" {
							t.Errorf("%+v", s)
						}
					})
				}
				wg.Wait()
				if n := o.calls.Load(); n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
				if len(stale) != 100 || c.Stats().Stale != 100 || (stale[0].Err == nil) != (name == "503") {
					t.Errorf("%d events, %+v, %v", len(stale), c.Stats(), stale[0].Err)
				}
			})
		})
	}
}

// The body of an error that is not used does not keep anybody waiting.
func TestCacheStaleDespiteEndlessErrorBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := cachedClient(t, gateway.CacheConfig{}, func(n int64, r *http.Request) (*http.Response, error) {
			resp := cacheAnswer(r, "ok", "Cache-Control: max-age=10, stale-if-error=600")
			if n > 1 {
				resp.StatusCode, resp.ContentLength = 503, -1
				resp.Body = &cacheLateEnd{Reader: strings.NewReader("sorry"), wait: time.Hour, once: new(sync.Once), closed: make(chan bool)}
			}
			return resp, nil
		})
		cacheUntilStale(t, client)
		start := time.Now()
		if got, _ := cacheGet(t, t.Context(), client, cacheURL); got != "ok" || time.Since(start) > time.Second {
			t.Errorf("%q after %v", got, time.Since(start))
		}
	})
}

// A hook that panics harms the one who called it, and nobody else.
func TestCacheObservePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := cachedClient(t, gateway.CacheConfig{MaxBytes: 1500, Observe: func(_ context.Context, e gateway.CacheEvent) {
			if e.Kind == gateway.CacheEvicted {
				panic("oops")
			}
		}}, cacheAfterASecond("Cache-Control: max-age=60"))
		cacheGet(t, t.Context(), client, cacheURL)
		go func() {
			defer func() { recover() }()
			cacheGet(t, t.Context(), client, cacheURL+"2")
		}()
		synctest.Wait()
		if got, _ := cacheGet(t, t.Context(), client, cacheURL+"2"); got != "2" || o.calls.Load() != 2 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	})
}

// A caller who has left, or whose time is over, gets no stale response for it.
func TestCacheStaleIsNotForThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := cachedClient(t, gateway.CacheConfig{}, cacheAfterASecond("Cache-Control: max-age=10, stale-if-error=600"))
		cacheGet(t, t.Context(), client, cacheURL)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", cacheURL, nil)
		if _, err := client.Do(req); !errors.Is(err, context.DeadlineExceeded) || o.calls.Load() != 2 {
			t.Errorf("%v after %d requests", err, o.calls.Load())
		}
	})
}
