package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// status answers with a status and these fields.
func status(r *http.Request, code int, fields ...string) *http.Response {
	resp := answer(r, fmt.Sprint(code), fields...)
	resp.StatusCode, resp.Status = code, fmt.Sprint(code, " ", http.StatusText(code))
	return resp
}

// An answer of the origin's that takes access back, or replaces what was asked for,
// ends what is stored, whether somebody waits for it or not, and whether it may itself
// be stored or not. Only what says nothing of the resource leaves it alone.
func TestAnswersThatEndWhatIsStored(t *testing.T) {
	for code, ends := range map[int]bool{
		400: true, 401: true, 402: true, 403: true, 404: true, 406: true, 410: true, 451: true, 301: true, 302: true, 200: true,
		408: false, 425: false, 429: false, 500: false, 502: false, 503: false, 504: false,
	} {
		for _, background := range []bool{false, true} {
			for _, storable := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					var ended []httpcache.Event
					control := "Cache-Control: max-age=1, stale-if-error=86400"
					if background {
						control += ", stale-while-revalidate=86400"
					}
					client, _, _ := newClient(t, httpcache.Config{Observe: func(_ context.Context, e httpcache.Event) {
						mu.Lock()
						defer mu.Unlock()
						if e.Kind == httpcache.Invalidated {
							ended = append(ended, e)
						}
					}}, func(n int64, r *http.Request) (*http.Response, error) {
						switch n {
						case 1:
							return answer(r, "secret", control, `Etag: "a"`), nil
						case 2:
							if storable {
								return status(r, code, "Cache-Control: max-age=0, stale-if-error=60", "Location: /"), nil
							}
							return status(r, code, "Location: /"), nil
						}
						return nil, errors.New("down")
					})
					client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
					untilStale(t, client)
					get(t, t.Context(), client, pageURL) // now the origin says so
					time.Sleep(10 * time.Second)
					synctest.Wait()
					got, _ := get(t, t.Context(), client, pageURL) // and now it is down
					if ends && got == "secret" || !ends && got != "secret" {
						t.Errorf("%d, in the background %v, storable %v: got %q", code, background, storable, got)
					}
					if replaced := storable && code < 400; ends && !replaced && (len(ended) != 1 || ended[0].Status.ForwardStatus != code) {
						t.Errorf("%d: events %+v", code, ended)
					}
				})
			}
		}
	}
}

// A limit that says so with 403 takes nothing back: it is over soon, and what is stored
// is used until then. One that does not say so is a refusal.
func TestLimitsTakeNothingBack(t *testing.T) {
	for field, ends := range map[string]bool{
		"X-RateLimit-Remaining: 0": false, "x-ratelimit-remaining: 0": false, "RateLimit-Remaining: 0": false, "Retry-After: 60": false,
		"X-RateLimit-Remaining: 10": true, "X-RateLimit-Limit: 0": true, "A: b": true,
	} {
		for _, control := range []string{"max-age=1, stale-if-error=86400", "max-age=1, stale-while-revalidate=86400, stale-if-error=86400"} {
			for _, method := range []string{"GET", "HEAD"} {
				synctest.Test(t, func(t *testing.T) {
					client, _, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
						switch n {
						case 1:
							return answer(r, "ok", "Cache-Control: "+control, `Etag: "a"`), nil
						case 2:
							resp := status(r, 403, "Cache-Control: private, max-age=60")
							name, value, _ := strings.Cut(field, ": ")
							resp.Header[name] = []string{value}
							return resp, nil
						}
						return nil, errors.New("down")
					})
					untilStale(t, client)
					req, _ := http.NewRequestWithContext(t.Context(), method, pageURL, nil)
					if resp, err := client.Do(req); err != nil {
						t.Error(err)
					} else {
						resp.Body.Close()
					}
					time.Sleep(10 * time.Second)
					synctest.Wait()
					if got, _ := get(t, t.Context(), client, pageURL); (got == "ok") == ends || (c.Stats().Invalidated == 1) != ends {
						t.Errorf("%s, %s, %s: got %q, %+v", field, control, method, got, c.Stats())
					}
				})
			}
		}
	}
}

// A refusal also ends the other variants, and what was asked for before and is still
// on its way.
func TestRefusalEndsWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			switch n {
			case 1:
				return answer(r, "old", "Cache-Control: max-age=60", "Vary: A"), nil
			case 2: // its body takes a while
				resp := answer(r, "", "Cache-Control: max-age=60", "Vary: A")
				resp.ContentLength, resp.Body = -1, stream(r, &pause{time.Second, "slow"}).Body
				return resp, nil
			}
			return status(r, 403), nil
		})
		get(t, t.Context(), client, pageURL, "A: 1")
		var wg sync.WaitGroup
		wg.Go(func() { get(t, t.Context(), client, pageURL, "A: 2") })
		synctest.Wait()
		get(t, t.Context(), client, pageURL, "A: 3")
		wg.Wait()
		for _, a := range []string{"1", "2"} {
			if got, _ := get(t, t.Context(), client, pageURL, "A: "+a); got != "403" {
				t.Errorf("A: %s: %q", a, got)
			}
		}
		if n := o.calls.Load(); n != 5 {
			t.Errorf("%d requests, want 5", n)
		}
	})
}

// A request for credentials is never stored: whoever asks again has others.
func TestRequestsForCredentialsAreNotStored(t *testing.T) {
	for _, code := range []int{401, 407} {
		for _, cfg := range []httpcache.Config{{}, {Shared: true}, {Override: func(*http.Request, *http.Response) string { return "max-age=60" }}} {
			client, o, _ := newClient(t, cfg, func(n int64, r *http.Request) (*http.Response, error) {
				if n == 1 {
					return status(r, code, "Cache-Control: public, max-age=60"), nil
				}
				return answer(r, "ok", "Cache-Control: public, max-age=60"), nil
			})
			client.Transport.(*httpcache.Transport).Partition = func(*http.Request) string { return "me" }
			get(t, t.Context(), client, pageURL)
			if got, _ := get(t, t.Context(), client, pageURL); got != "ok" || o.calls.Load() != 2 {
				t.Errorf("%d: %q after %d requests", code, got, o.calls.Load())
			}
		}
	}
}

// A dead origin is asked less and less, while what is stale is used at once.
func TestFailingOriginIsAskedLess(t *testing.T) {
	for name, tt := range map[string]struct {
		control string
		fail    func(*http.Request) (*http.Response, error)
	}{
		"in the background, 503": {"max-age=1, stale-while-revalidate=3600",
			func(r *http.Request) (*http.Response, error) { return status(r, 503), nil }},
		"in the background, 429": {"max-age=1, stale-while-revalidate=3600",
			func(r *http.Request) (*http.Response, error) { return status(r, 429), nil }},
		"in the background, panic": {"max-age=1, stale-while-revalidate=3600",
			func(r *http.Request) (*http.Response, error) { panic("oops") }},
		"for a caller, error": {"max-age=1",
			func(r *http.Request) (*http.Response, error) { return nil, errors.New("down") }},
		"for a caller, 503": {"max-age=1, stale-if-error=3600",
			func(r *http.Request) (*http.Response, error) { return status(r, 503), nil }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []time.Duration
				var start time.Time
				client, o, c := newClient(t, httpcache.Config{Observe: func(context.Context, httpcache.Event) {}}, func(n int64, r *http.Request) (*http.Response, error) {
					if n == 1 {
						return answer(r, "ok", "Cache-Control: "+tt.control), nil
					}
					asked = append(asked, time.Since(start))
					return tt.fail(r)
				})
				untilStale(t, client)
				start = time.Now()
				for range 10000 { // for 100 s
					if got, _ := get(t, t.Context(), client, pageURL); got != "ok" {
						t.Fatalf("%q", got)
					}
					synctest.Wait()
					time.Sleep(10 * time.Millisecond)
				}
				want := []time.Duration{0, 1, 3, 7, 15, 31, 61, 91}
				for i := range want {
					want[i] *= time.Second
				}
				if fmt.Sprint(asked) != fmt.Sprint(want) {
					t.Errorf("asked after %v, want %v", asked, want)
				}
				// The first success ends it.
				o.answer = func(n int64, r *http.Request) (*http.Response, error) {
					return answer(r, "new", "Cache-Control: max-age=60"), nil
				}
				time.Sleep(30 * time.Second)
				get(t, t.Context(), client, pageURL)
				synctest.Wait()
				if got, _ := get(t, t.Context(), client, pageURL); got != "new" {
					t.Errorf("%q", got)
				}
				if s := c.Stats(); tt.control != "max-age=1, stale-while-revalidate=3600" && s.Stale != 10000 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A validation that is never answered is a failure, though it is its own deadline
// that ends it.
func TestSilentOriginIsAskedLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		var start time.Time
		client, _, c := newClient(t, httpcache.Config{RefreshTimeout: time.Second}, func(n int64, r *http.Request) (*http.Response, error) {
			if n == 1 {
				return answer(r, "ok", "Cache-Control: max-age=1, stale-while-revalidate=3600"), nil
			}
			asked = append(asked, time.Since(start))
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		untilStale(t, client)
		start = time.Now()
		for range 2000 { // for 20 s
			get(t, t.Context(), client, pageURL)
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		want := []time.Duration{0, 2 * time.Second, 5 * time.Second, 10 * time.Second, 19 * time.Second}
		if fmt.Sprint(asked) != fmt.Sprint(want) || c.Stats().Failed != 4 && c.Stats().Failed != 5 {
			t.Errorf("asked after %v, want %v; %+v", asked, want, c.Stats())
		}
	})
}
