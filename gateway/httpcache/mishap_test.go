package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/mishap"
)

// A Base, or a body, that ends badly while a stored response is validated in the
// background: the caller has its stale response, the validation has failed, and the next
// request begins another one.
func TestMishaps(t *testing.T) {
	var cases []mishap.Case
	for _, place := range []string{"RoundTrip", "Read", "Close", "Observe"} {
		for _, ending := range mishap.Endings {
			want := "stale, refreshed with an error, then fresh"
			if place == "Observe" {
				want = "stale, refreshed, then fresh"
				if ending != mishap.Hangs {
					want += ", a panic counted"
				}
			}
			cases = append(cases, mishap.Case{
				Name: fmt.Sprint(place, " ", ending),
				Want: want,
				Run: func(t *testing.T) string {
					var armed atomic.Bool
					end := func(where string) {
						if where == place && armed.Load() {
							ending.End() // whatever becomes of a context
						}
					}
					var failed atomic.Pointer[error]
					c := httpcache.New(httpcache.Config{RefreshTimeout: 30 * time.Second, Observe: func(_ context.Context, e httpcache.Event) {
						if e.Kind == httpcache.Refreshed {
							failed.CompareAndSwap(nil, &e.Err)
							end("Observe")
						}
					}})
					var n atomic.Int32
					client := &http.Client{Transport: &httpcache.Transport{Cache: c, Base: mishapBase(func(r *http.Request) (*http.Response, error) {
						resp := answer(r, fmt.Sprint(n.Add(1)), "Cache-Control: max-age=10, stale-while-revalidate=864000")
						end("RoundTrip")
						resp.Body = &mishapBody{resp.Body, func(where string) error {
							end(where)
							return r.Context().Err()
						}}
						if err := r.Context().Err(); err != nil {
							return nil, err
						}
						return resp, nil
					})}}
					body := func() string {
						resp, err := client.Get(pageURL)
						if err != nil {
							return err.Error()
						}
						defer resp.Body.Close()
						b, err := io.ReadAll(resp.Body)
						return string(b) + fmt.Sprint(err)
					}
					body()
					time.Sleep(time.Minute)
					armed.Store(true)
					var stale string
					if how, _ := mishap.Ended(func() { stale = body() }); how != mishap.Returns || stale != "1<nil>" {
						return fmt.Sprint(how, " ", stale)
					}
					time.Sleep(time.Minute)
					armed.Store(false)
					outcome := "stale, refreshed"
					switch e := failed.Load(); {
					case e == nil:
						outcome = "stale, not refreshed"
					case *e != nil:
						outcome = "stale, refreshed with an error"
					}
					body() // at the latest this begins a validation
					time.Sleep(time.Second)
					if got := body(); got == "1<nil>" {
						return outcome + ", then stale for ever"
					}
					if err := c.Close(); err != nil {
						return err.Error()
					}
					outcome += ", then fresh"
					if c.Stats().Panics == 1 {
						outcome += ", a panic counted"
					}
					return outcome
				},
			})
		}
	}
	mishap.Run(t, mishap.Sorted(cases))
}

type mishapBase func(*http.Request) (*http.Response, error)

func (f mishapBase) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// mishapBody is a body whose methods end badly.
type mishapBody struct {
	io.ReadCloser
	end func(string) error
}

func (b *mishapBody) Read(p []byte) (int, error) {
	if err := b.end("Read"); err != nil {
		return 0, err
	}
	return b.ReadCloser.Read(p)
}

func (b *mishapBody) Close() error {
	b.end("Close")
	return b.ReadCloser.Close()
}
