package httpcache_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/sim"
)

// A world is an origin whose resources change, and which says about them what
// it likes. It remembers what it has said.
type world struct {
	*testing.T
	rand    *rand.Rand
	storing bool
	calls   int
	version map[string]int
	said    map[string]said // by body
	written map[string]time.Time
}

// said is what was said of a body when it was sent.
type said struct {
	url, user, a, etag string
	noStore            bool
}

func (w *world) oneOf(values ...string) string { return values[w.rand.IntN(len(values))] }

// RoundTrip is the origin.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.calls++
	url := r.URL.Path
	if r.Method == "POST" {
		w.version[url]++
		w.written[url] = time.Now()
		return answer(r, "written"), nil
	}
	if w.rand.IntN(20) == 0 {
		w.version[url]++
	}
	control := w.oneOf("max-age=0", "max-age=5", "max-age=20", "max-age=20, must-revalidate", "no-cache, max-age=20", "no-store, max-age=20", "")
	if !w.storing {
		control = w.oneOf("no-store", "no-store, max-age=20", "max-age=20, no-store, public", "private, no-store")
	}
	s := said{url: url, user: r.Header.Get("Authorization"), a: r.Header.Get("A"), noStore: strings.Contains(control, "no-store")}
	fields := []string{"Cache-Control: " + control, "Vary: A"}
	if w.rand.IntN(3) == 0 {
		fields = fields[:1]
		s.a = "any"
	}
	if w.rand.IntN(2) == 0 {
		s.etag = fmt.Sprintf(`"%s-%s-%s-%d"`, url, s.user, s.a, w.version[url])
		fields = append(fields, "Etag: "+s.etag)
		if r.Header.Get("If-None-Match") == s.etag {
			resp := answer(r, "", fields...)
			resp.Status, resp.StatusCode, resp.Body = "304 Not Modified", 304, http.NoBody
			return resp, nil
		}
	}
	body := fmt.Sprintf("%s %s %s v%d #%d", url, s.user, s.a, w.version[url], w.calls)
	w.said[body] = s
	return answer(r, body, fields...), nil
}

// check decides whether a response was permitted.
func (w *world) check(url, user, a, body string, resp *http.Response, asked bool) {
	s, ok := w.said[body]
	status, _ := httpcache.StatusOf(resp.Header)
	control := resp.Header.Get("Cache-Control")
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	var lifetime time.Duration
	if _, seconds, ok := strings.Cut(control, "max-age="); ok {
		seconds, _, _ = strings.Cut(seconds, ",")
		lifetime, _ = time.ParseDuration(seconds + "s")
	}
	complain := func(what string) { w.Fatalf("%s: got %q, %v for %s %s %s", what, body, resp.Header, url, user, a) }
	switch {
	case !ok:
		complain("the origin never sent this")
	case s.url != url || s.user != user:
		complain("it is for another")
	case s.a != "any" && s.a != a:
		complain("it was selected by another value")
	case asked && status.ForwardStatus == 0 && !strings.HasSuffix(body, fmt.Sprintf("#%d", w.calls)):
		complain("the origin was asked, and this is not what it answered")
	case asked:
	case s.noStore || strings.Contains(control, "no-store") || strings.Contains(control, "no-cache"):
		complain("it was not to be used")
	case time.Since(date) >= lifetime:
		complain("it is stale")
	case date.Before(w.written[url]):
		complain("the resource was written since")
	}
}

// A random origin and random requests, with the cache and without: where nothing may
// be stored the responses are the origin's, and otherwise they are permitted.
func TestAgainstModel(t *testing.T) {
	seeds := uint64(16)
	if sim.Full() {
		seeds = 1000
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := &world{T: t, rand: rand.New(rand.NewPCG(seed, 1)), storing: seed%4 != 0,
				version: map[string]int{}, said: map[string]said{}, written: map[string]time.Time{}}
			c := httpcache.New(httpcache.Config{MaxBytes: 64 << 10})
			defer c.Close()
			client := &http.Client{Transport: &httpcache.Transport{Base: w, Cache: c}}
			hits := 0
			for range 400 {
				url, user, a := w.oneOf("/a", "/b", "/c"), w.oneOf("alice", "bob"), w.oneOf("1", "2")
				if w.rand.IntN(3) == 0 {
					time.Sleep(time.Duration(1+w.rand.IntN(4)) * time.Second)
				}
				if w.rand.IntN(15) == 0 {
					resp, err := client.Post("http://service.test"+url, "text/plain", strings.NewReader("x"))
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					time.Sleep(time.Second) // dates are no finer
					continue
				}
				before := w.calls
				body, resp := get(t, t.Context(), client, "http://service.test"+url, "Authorization: "+user, "A: "+a)
				w.check(url, user, a, body, resp, w.calls > before)
				if w.calls == before {
					hits++
				}
			}
			if (hits > 20) != w.storing {
				t.Errorf("seed %d: %d hits", seed, hits)
			}
		})
	}
}
