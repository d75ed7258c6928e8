package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// The one whose request it is leaves: the others are not affected.
func TestCacheLeaderLeaves(t *testing.T) {
	for name, body := range map[string]bool{"before the response": false, "during the body": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, o, _ := cachedClient(t, gateway.CacheConfig{}, nil)
				o.answer = func(n int64, r *http.Request) (*http.Response, error) {
					if !body || n > 1 {
						return cacheAfterASecond("Cache-Control: max-age=60")(n, r)
					}
					resp := cacheStream(r, cacheReaderFunc(func([]byte) (int, error) {
						<-r.Context().Done()
						return 0, r.Context().Err()
					}))
					return resp, nil
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					if got, _ := cacheGet(t, ctx, client, cacheURL); got != "error: context canceled" && got != fmt.Sprintf("error: Get %q: context canceled", cacheURL) {
						t.Errorf("the leader got %q", got)
					}
				})
				synctest.Wait()
				for range 100 {
					wg.Go(func() {
						if got, _ := cacheGet(t, t.Context(), client, cacheURL); got != "2" {
							t.Errorf("a follower got %q", got)
						}
					})
				}
				time.Sleep(time.Second / 2)
				cancel()
				wg.Wait()
				if n := o.calls.Load(); n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
			})
		})
	}
}

type cacheReaderFunc func([]byte) (int, error)

func (f cacheReaderFunc) Read(p []byte) (int, error) { return f(p) }

// A follower waits for as long as its own context lasts.
func TestCacheFollowerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := cachedClient(t, gateway.CacheConfig{}, cacheAfterASecond("Cache-Control: max-age=60"))
		go client.Get(cacheURL)
		synctest.Wait()
		cause := errors.New("I have to go")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
		defer cancel()
		start := time.Now()
		req, _ := http.NewRequestWithContext(ctx, "GET", cacheURL, nil)
		_, err := client.Do(req)
		if !errors.Is(err, cause) || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// It has taken nothing with it.
		if got, _ := cacheGet(t, t.Context(), client, cacheURL); got != "1" || o.calls.Load() != 1 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	})
}

// Whoever reads slowly, or not at all, does not keep others waiting.
func TestCacheSlowReader(t *testing.T) {
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			closed := 0
			client, o, _ := cachedClient(t, gateway.CacheConfig{}, func(_ int64, r *http.Request) (*http.Response, error) {
				resp := cacheStream(r, nil)
				resp.Body = struct {
					io.Reader
					io.Closer
				}{io.MultiReader(&cachePause{time.Second, "one "}, &cachePause{time.Second, "two"}), cacheCloseFunc(func() { closed++ })}
				return resp, nil
			})
			resp, err := client.Get(cacheURL)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if got, _ := cacheGet(t, t.Context(), client, cacheURL); got != "one two" || time.Since(start) != 2*time.Second {
						t.Errorf("%q after %v", got, time.Since(start))
					}
				})
			}
			synctest.Wait()
			if early { // it leaves in the middle; the body is read on for the others
				resp.Body.Close()
				wg.Wait()
			} else {
				time.Sleep(time.Minute)
				body, err := io.ReadAll(resp.Body)
				if string(body) != "one two" || err != nil {
					t.Errorf("the slow one got %q, %v", body, err)
				}
				resp.Body.Close()
			}
			wg.Wait()
			synctest.Wait()
			if n := o.calls.Load(); n != 1 || closed != 1 {
				t.Errorf("%d requests, want 1; the body was closed %d times", n, closed)
			}
		})
	}
}

// cachePause reads as text after some time.
type cachePause struct {
	wait time.Duration
	text string
}

func (p *cachePause) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	time.Sleep(p.wait)
	n := copy(b, p.text)
	p.text = p.text[n:]
	return n, nil
}

// A body that turns out too large, read ahead for others, still arrives whole.
func TestCacheSlowReaderOfALargeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 200 << 10
		client, o, _ := cachedClient(t, gateway.CacheConfig{MaxEntryBytes: 100 << 10}, func(_ int64, r *http.Request) (*http.Response, error) {
			return cacheStream(r, io.LimitReader(cacheRepeat("0123456789"), size)), nil
		})
		resp, _ := client.Get(cacheURL)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if got, _ := cacheGet(t, t.Context(), client, cacheURL); len(got) != size {
					t.Errorf("a follower got %d bytes", len(got))
				}
			})
		}
		synctest.Wait()
		if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
			t.Errorf("the leader got %d bytes, %v", n, err)
		}
		resp.Body.Close()
		wg.Wait()
		if n := o.calls.Load(); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
	})
}
