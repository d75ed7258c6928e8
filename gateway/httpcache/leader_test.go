package httpcache_test

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

	"github.com/belay-go/belay/gateway/httpcache"
)

// The one whose request it is leaves: the others are not affected.
func TestLeaderLeaves(t *testing.T) {
	for name, body := range map[string]bool{"before the response": false, "during the body": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, o, _ := newClient(t, httpcache.Config{}, nil)
				o.answer = func(n int64, r *http.Request) (*http.Response, error) {
					if !body || n > 1 {
						return afterASecond("Cache-Control: max-age=60")(n, r)
					}
					resp := stream(r, readerFunc(func([]byte) (int, error) {
						<-r.Context().Done()
						return 0, r.Context().Err()
					}))
					return resp, nil
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					if got, _ := get(t, ctx, client, pageURL); got != "error: context canceled" && got != fmt.Sprintf("error: Get %q: context canceled", pageURL) {
						t.Errorf("the leader got %q", got)
					}
				})
				synctest.Wait()
				for range 100 {
					wg.Go(func() {
						if got, _ := get(t, t.Context(), client, pageURL); got != "2" {
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

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A follower waits for as long as its own context lasts.
func TestFollowerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, afterASecond("Cache-Control: max-age=60"))
		go client.Get(pageURL)
		synctest.Wait()
		cause := errors.New("I have to go")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
		defer cancel()
		start := time.Now()
		req, _ := http.NewRequestWithContext(ctx, "GET", pageURL, nil)
		_, err := client.Do(req)
		if !errors.Is(err, cause) || time.Since(start) != 10*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// It has taken nothing with it.
		if got, _ := get(t, t.Context(), client, pageURL); got != "1" || o.calls.Load() != 1 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	})
}

// Whoever reads slowly, or not at all, does not keep others waiting.
func TestSlowReader(t *testing.T) {
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			closed := 0
			client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
				resp := stream(r, nil)
				resp.Body = struct {
					io.Reader
					io.Closer
				}{io.MultiReader(&pause{time.Second, "one "}, &pause{time.Second, "two"}), closeFunc(func() { closed++ })}
				return resp, nil
			})
			resp, err := client.Get(pageURL)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if got, _ := get(t, t.Context(), client, pageURL); got != "one two" || time.Since(start) != 2*time.Second {
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

// pause reads as text after some time.
type pause struct {
	wait time.Duration
	text string
}

func (p *pause) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	time.Sleep(p.wait)
	n := copy(b, p.text)
	p.text = p.text[n:]
	return n, nil
}

// A body that turns out too large, read ahead for others, still arrives whole.
func TestSlowReaderOfALargeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 200 << 10
		client, o, _ := newClient(t, httpcache.Config{MaxEntryBytes: 100 << 10}, func(_ int64, r *http.Request) (*http.Response, error) {
			return stream(r, io.LimitReader(repeat("0123456789"), size)), nil
		})
		resp, _ := client.Get(pageURL)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if got, _ := get(t, t.Context(), client, pageURL); len(got) != size {
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
