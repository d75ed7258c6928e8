package httpcache_test

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

	"github.com/belay-go/belay/gateway/httpcache"
)

// An error of the origin is the answer to all who wait, if a Partition says that they
// are the same; so none of them waits longer for it than the first.
func TestSharesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		client, o, _ := newClient(t, httpcache.Config{}, func(int64, *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return nil, down
		})
		client.Transport.(*httpcache.Transport).Partition = func(*http.Request) string { return "me" }
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := client.Get(pageURL); !errors.Is(err, down) {
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
func TestLeaderPanics(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, o, _ := newClient(t, httpcache.Config{}, nil)
				o.answer = func(n int64, r *http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					if n == 1 {
						end()
					}
					return answer(r, "ok", "Cache-Control: max-age=60"), nil
				}
				go func() {
					defer func() { recover() }()
					client.Get(pageURL)
				}()
				synctest.Wait()
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						if got, _ := get(t, t.Context(), client, pageURL); got != "ok" {
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

// refusal is a refusal by a layer below, as an open breaker's.
type refusal struct{}

func (refusal) Error() string  { return "the breaker is open" }
func (refusal) Rejected() bool { return true }

// All who wait get the stale response if the origin fails.
func TestStaleIfErrorForAll(t *testing.T) {
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"refused": func(*http.Request) (*http.Response, error) { return nil, refusal{} },
		"timeout": func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded },
		"503": func(r *http.Request) (*http.Response, error) {
			resp := answer(r, "sorry")
			resp.StatusCode = 503
			return resp, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stale []httpcache.Event
				var mu sync.Mutex
				client, o, c := newClient(t, httpcache.Config{Observe: func(_ context.Context, e httpcache.Event) {
					if e.Kind == httpcache.Stale {
						mu.Lock()
						defer mu.Unlock()
						stale = append(stale, e)
					}
				}}, func(n int64, r *http.Request) (*http.Response, error) {
					if n == 1 {
						return answer(r, "ok", "Cache-Control: max-age=10, stale-if-error=60"), nil
					}
					time.Sleep(time.Second)
					return fail(r)
				})
				get(t, t.Context(), client, pageURL)
				time.Sleep(20 * time.Second)
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						got, resp := get(t, t.Context(), client, pageURL)
						if got != "ok" {
							t.Errorf("got %q", got)
							return
						}
						if s, ok := httpcache.StatusOf(resp.Header); !ok || !s.Hit || s.TTL != -11*time.Second || s.Detail != "stale-if-error" {
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
func TestStaleDespiteEndlessErrorBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			resp := answer(r, "ok", "Cache-Control: max-age=10, stale-if-error=600")
			if n > 1 {
				resp.StatusCode, resp.ContentLength = 503, -1
				resp.Body = &lateEnd{Reader: strings.NewReader("sorry"), wait: time.Hour, once: new(sync.Once), closed: make(chan bool)}
			}
			return resp, nil
		})
		untilStale(t, client)
		start := time.Now()
		if got, _ := get(t, t.Context(), client, pageURL); got != "ok" || time.Since(start) > time.Second {
			t.Errorf("%q after %v", got, time.Since(start))
		}
	})
}

// A hook that panics harms the one who called it, and nobody else.
func TestObservePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{MaxBytes: 1500, Observe: func(_ context.Context, e httpcache.Event) {
			if e.Kind == httpcache.Evicted {
				panic("oops")
			}
		}}, afterASecond("Cache-Control: max-age=60"))
		get(t, t.Context(), client, pageURL)
		go func() {
			defer func() { recover() }()
			get(t, t.Context(), client, pageURL+"2")
		}()
		synctest.Wait()
		if got, _ := get(t, t.Context(), client, pageURL+"2"); got != "2" || o.calls.Load() != 2 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	})
}

// A caller who has left, or whose time is over, gets no stale response for it.
func TestStaleIsNotForThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, afterASecond("Cache-Control: max-age=10, stale-if-error=600"))
		get(t, t.Context(), client, pageURL)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", pageURL, nil)
		if _, err := client.Do(req); !errors.Is(err, context.DeadlineExceeded) || o.calls.Load() != 2 {
			t.Errorf("%v after %d requests", err, o.calls.Load())
		}
	})
}

// On the cache's own goroutines there is nobody whom a panic of Observe could reach: it
// is dropped, and counted.
func TestObservePanicsInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, c := newClient(t, httpcache.Config{MaxBytes: 1500, Observe: func(_ context.Context, e httpcache.Event) {
			if e.Kind == httpcache.Refreshed || e.Kind == httpcache.Evicted {
				panic("oops")
			}
		}}, nil)
		o.answer = func(n int64, r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/" {
				return answer(r, "ok", swr), nil
			}
			return stream(r, &pause{time.Second, "ok"}), nil
		}
		untilStale(t, client)
		get(t, t.Context(), client, pageURL)
		synctest.Wait()
		if n := c.Stats().Panics; n != 1 {
			t.Errorf("a refresh: %d panics are counted", n)
		}
		var wg sync.WaitGroup
		for range 3 { // which are read ahead, and push the other out
			wg.Go(func() {
				if got, _ := get(t, t.Context(), client, pageURL+"2"); got != "ok" {
					t.Errorf("%q", got)
				}
			})
		}
		wg.Wait()
		if n := c.Stats().Panics; n != 2 || o.calls.Load() != 3 {
			t.Errorf("with a body read ahead: %d panics are counted, %d requests", n, o.calls.Load())
		}
	})
}
