package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// A hanging body sends five bytes, and then nothing until it is closed.
type hanging struct {
	sent   bool
	closed chan bool
	once   sync.Once
	open   *atomic.Int64
}

func newHanging(open *atomic.Int64) *hanging {
	open.Add(1)
	return &hanging{closed: make(chan bool), open: open}
}

func (h *hanging) Read(p []byte) (int, error) {
	if !h.sent {
		h.sent = true
		return copy(p, "hello"), nil
	}
	<-h.closed
	return 0, io.ErrUnexpectedEOF
}

func (h *hanging) Close() error {
	h.once.Do(func() { close(h.closed); h.open.Add(-1) })
	return nil
}

// A body that hangs keeps nobody from its URL for longer than MaxWait, and when its
// reader and those who wait have left, nothing of it is left: no connection, and no
// goroutine, for which the bubble would wait.
func TestHangingBodyBlocksNobody(t *testing.T) {
	for name, tt := range map[string]struct {
		early bool // the reader leaves before the others
		end   func(*httpcache.Cache)
	}{
		"the reader leaves first":                        {true, nil},
		"the reader leaves last":                         {false, nil},
		"Close ends what is read for those who wait":     {true, func(c *httpcache.Cache) { c.Close() }},
		"Close leaves alone what somebody reads himself": {false, func(c *httpcache.Cache) { c.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open atomic.Int64
				client, o, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
					if n == 1 {
						resp := stream(r, nil)
						resp.Body = newHanging(&open)
						return resp, nil
					}
					return answer(r, "ok", "Cache-Control: max-age=60"), nil
				})
				resp, err := client.Get(pageURL)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() { // one who soon leaves
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					defer cancel()
					get(t, ctx, client, pageURL)
				})
				for range 3 {
					wg.Go(func() {
						got, _ := get(t, t.Context(), client, pageURL)
						if d := time.Since(start); got != "ok" || d > 5*time.Second {
							t.Errorf("%q after %v", got, d)
						}
					})
				}
				synctest.Wait()
				if tt.early {
					resp.Body.Close() // the others wait, so that it is read on
				}
				time.Sleep(time.Second)
				if open.Load() != 1 {
					t.Error("the body is not read on")
				}
				if tt.end != nil {
					tt.end(c)
					synctest.Wait()
					if n := open.Load(); (n == 0) != tt.early {
						t.Errorf("after Close %d bodies are open", n)
					}
				}
				wg.Wait()
				if !tt.early {
					if open.Load() != 1 {
						t.Error("the reader's body has been closed")
					}
					resp.Body.Close()
				}
				synctest.Wait()
				if n := open.Load(); n != 0 {
					t.Errorf("%d bodies are open", n)
				}
				calls := o.calls.Load()
				if got, _ := get(t, t.Context(), client, pageURL); got != "ok" || o.calls.Load() != calls {
					t.Errorf("afterwards: %q", got)
				}
			})
		})
	}
}

// When those who have waited for a hanging leader have given up, newcomers do not wait
// for it any more.
func TestNewcomersDoNotWaitForWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := newClient(t, httpcache.Config{MaxWait: time.Second}, func(n int64, r *http.Request) (*http.Response, error) {
			if n <= 2 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return answer(r, "ok", "Cache-Control: max-age=60"), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 2 {
			go client.Do(must(http.NewRequestWithContext(ctx, "GET", pageURL, nil)))
		}
		time.Sleep(2 * time.Second)
		start := time.Now()
		if got, _ := get(t, t.Context(), client, pageURL); got != "ok" || time.Since(start) != 0 {
			t.Errorf("%q after %v", got, time.Since(start))
		}
	})
}

// A body that trickles does not make the next reader wait for all of it.
func TestTricklingBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			return stream(r, readerFunc(func(p []byte) (int, error) {
				time.Sleep(50 * time.Millisecond)
				return copy(p, "line\n"), nil
			})), nil
		})
		first := func() time.Duration {
			start := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", pageURL, nil)
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return 0
			}
			io.ReadFull(resp.Body, make([]byte, 5))
			took := time.Since(start)
			for time.Since(start) < time.Minute {
				io.ReadFull(resp.Body, make([]byte, 5))
			}
			resp.Body.Close()
			return took
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if took := first(); took > 6*time.Second {
					t.Errorf("the first line came after %v", took)
				}
			})
			time.Sleep(time.Second)
		}
		wg.Wait()
	})
}

// Long polls, which are never stored, learn once that they need not wait for one
// another, and again only if nobody asks for a long time.
func TestLongPollsDoNotWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
			time.Sleep(90 * time.Second)
			return answer(r, "event", "Cache-Control: no-store"), nil
		})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for round := range 20 {
					start := time.Now()
					get(t, t.Context(), client, pageURL)
					limit := 90 * time.Second
					if round == 0 {
						limit += 5 * time.Second // nobody can know yet
					}
					if took := time.Since(start); took > limit {
						t.Errorf("round %d took %v", round, took)
					}
					time.Sleep(2 * time.Minute)
				}
			})
		}
		wg.Wait()
	})
}

// With a negative MaxWait nobody waits for anybody.
func TestNoWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{MaxWait: -1}, afterASecond("Cache-Control: max-age=60"))
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { get(t, t.Context(), client, pageURL) })
		}
		wg.Wait()
		if n := o.calls.Load(); n != 10 || time.Since(start) != time.Second {
			t.Errorf("%d requests in %v", n, time.Since(start))
		}
		if got, _ := get(t, t.Context(), client, pageURL); o.calls.Load() != 10 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	})
}

// A caller who has left gets its own error and nothing else, even if there is a
// response to be had.
func TestContextThatHasEnded(t *testing.T) {
	client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", "Cache-Control: max-age=60"), nil
	})
	get(t, t.Context(), client, pageURL)
	cause := fmt.Errorf("gone home")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		closed := false
		req, _ := http.NewRequestWithContext(ctx, method, pageURL, closeFunc(func() { closed = true }))
		if _, err := client.Transport.RoundTrip(req); err != cause || !closed {
			t.Errorf("%s: %v, body closed: %v", method, err, closed)
		}
	}
	if n := o.calls.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func must(req *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return req
}
