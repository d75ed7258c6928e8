package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A tally is what the callers of a cache, and the origin behind it, count themselves.
type tally struct {
	mu         sync.Mutex
	rand       *rand.Rand
	stats      httpcache.Stats
	told       httpcache.Stats // by events
	background uint64          // requests of the cache's own
}

type askedKey struct{}

func (y *tally) intN(n int) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.rand.IntN(n)
}

// RoundTrip is the origin.
func (y *tally) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, limited := r.Context().Deadline(); limited {
		y.mu.Lock()
		y.background++
		y.mu.Unlock()
	} else {
		*r.Context().Value(askedKey{}).(*int)++
	}
	if !takes(r.Context(), y.intN(3)) {
		return nil, context.Cause(r.Context())
	}
	if y.intN(5) == 0 {
		return nil, errors.New("down")
	}
	control := [...]string{"max-age=5", "max-age=2, stale-while-revalidate=9", "max-age=1, stale-if-error=60", "no-cache", "no-store"}[y.intN(5)]
	resp := answer(r, "ok", "Cache-Control: "+control, `Etag: "1"`)
	switch {
	case r.Header.Get("Upgrade") != "":
		resp.StatusCode = 101
	case r.Header.Get("If-None-Match") != "" && y.intN(2) == 0:
		resp.StatusCode, resp.Body = 304, http.NoBody
	case y.intN(9) == 0:
		resp.StatusCode = 503
	}
	return resp, nil
}

// call makes one request, and counts how it was answered.
func (y *tally) call(t *testing.T, rt http.RoundTripper) {
	asked := 0
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), askedKey{}, &asked))
	defer cancel(nil)
	method := [...]string{"GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "QUERY"}[y.intN(8)]
	req, err := http.NewRequestWithContext(ctx, method, pageURL+fmt.Sprint(y.intN(4)), nil)
	if err != nil {
		t.Error(err)
		return
	}
	left := errors.New("left")
	switch y.intN(12) {
	case 0:
		cancel(left)
	case 1:
		time.AfterFunc(time.Second, func() { cancel(left) })
	case 2:
		req.Header.Set("Cache-Control", "only-if-cached")
	case 3:
		req.Header.Set("Upgrade", "other")
	case 4:
		req.Body = io.NopCloser(strings.NewReader("content"))
	}
	gone := ctx.Err() != nil
	resp, err := rt.RoundTrip(req)
	var status httpcache.Status
	if err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		status, _ = httpcache.StatusOf(resp.Header)
	}

	y.mu.Lock()
	defer y.mu.Unlock()
	if status.Collapsed || err != nil && asked == 0 && !gone && !errors.Is(err, left) {
		y.stats.Collapsed++
	}
	n, want := &y.stats.Misses, 1 // requests that the origin has seen
	bypasses := method != "GET" && method != "HEAD" || req.Header.Get("Upgrade") != "" || req.Body != nil
	switch {
	case gone, status.Detail == "only-if-cached":
		n, want = &y.stats.Refused, 0
	case bypasses:
		n = &y.stats.Bypassed
	case status.Detail == "stale-if-error":
		n, want = &y.stats.Stale, asked // or it was asked a moment ago
	case status.Hit, status.Collapsed:
		n, want = &y.stats.Hits, 0
	case status.ForwardStatus == 304:
		n = &y.stats.Validated
	case err != nil:
		want = asked // or another was, for both
	}
	if *n++; n != &y.stats.Refused {
		y.stats.Calls++
	}
	if asked != want {
		t.Errorf("%s %v: %v, %v: the origin was asked %d times, want %d", method, req.Header, status, err, asked, want)
	}
}

// observe counts by events.
func (y *tally) observe(_ context.Context, e httpcache.Event) {
	y.mu.Lock()
	defer y.mu.Unlock()
	s := &y.told
	n := map[httpcache.Kind]*uint64{
		httpcache.Hit: &s.Hits, httpcache.Miss: &s.Misses, httpcache.Validated: &s.Validated, httpcache.Stale: &s.Stale,
		httpcache.Bypassed: &s.Bypassed, httpcache.Refused: &s.Refused, httpcache.Refreshed: &s.Refreshed,
		httpcache.Invalidated: &s.Invalidated, httpcache.Evicted: &s.Evicted,
	}[e.Kind]
	*n += uint64(max(1, e.Entries))
	if e.Kind < httpcache.Refused {
		s.Calls++
	}
	if e.Status.Collapsed {
		s.Collapsed++
	}
	if e.Kind == httpcache.Refreshed && e.Err != nil {
		s.Failed++
	}
}

// What Stats says is what the callers and the origin have counted, and what the events
// have told.
func TestStatsAreExact(t *testing.T) {
	var sum httpcache.Stats
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			y := &tally{rand: rand.New(rand.NewPCG(seed, 3))}
			c := httpcache.New(httpcache.Config{Observe: y.observe})
			defer c.Close()
			rt := &httpcache.Transport{Base: y, Cache: c}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 50 {
						y.call(t, rt)
						time.Sleep(time.Duration(y.intN(4)) * time.Second)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Minute) // for what runs in the background
			synctest.Wait()
			got := c.Stats()
			if diff := cmp.Diff(y.told, got, cmpopts.IgnoreFields(httpcache.Stats{}, "Name", "Keys", "Partitions", "Bytes", "Stored")); diff != "" {
				t.Errorf("events have told (-), Stats says (+):\n%s", diff)
			}
			want := y.stats
			want.Refreshed = y.background
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(httpcache.Stats{},
				"Name", "Keys", "Partitions", "Bytes", "Stored", "Failed", "Invalidated", "Evicted")); diff != "" {
				t.Errorf("the callers and the origin have counted (-), Stats says (+):\n%s", diff)
			}
			if got.Calls+got.Refused != 8*50 {
				t.Errorf("%d calls, of 400: %+v", got.Calls+got.Refused, got)
			}
			for _, f := range []struct{ sum, n *uint64 }{
				{&sum.Hits, &got.Hits}, {&sum.Misses, &got.Misses}, {&sum.Validated, &got.Validated}, {&sum.Stale, &got.Stale},
				{&sum.Bypassed, &got.Bypassed}, {&sum.Collapsed, &got.Collapsed}, {&sum.Refused, &got.Refused},
				{&sum.Refreshed, &got.Refreshed}, {&sum.Failed, &got.Failed}, {&sum.Invalidated, &got.Invalidated},
			} {
				*f.sum += *f.n
			}
		})
	}
	for name, n := range map[string]uint64{"Hits": sum.Hits, "Misses": sum.Misses, "Validated": sum.Validated, "Stale": sum.Stale, "Bypassed": sum.Bypassed,
		"Collapsed": sum.Collapsed, "Refused": sum.Refused, "Refreshed": sum.Refreshed, "Failed": sum.Failed, "Invalidated": sum.Invalidated} {
		if n < 20 {
			t.Errorf("%s is %d only: the test does not test it", name, n)
		}
	}
}

// What is in the store is what was stored and has not been removed since.
func TestStatsOfTheStore(t *testing.T) {
	type counts struct{ Keys, Stored, Invalidated, Evicted int }
	synctest.Test(t, func(t *testing.T) {
		var resp *http.Response
		client, _, c := newClient(t, httpcache.Config{MaxBytes: 40 << 10}, func(_ int64, r *http.Request) (*http.Response, error) {
			resp.Request = r
			return resp, nil
		})
		page := func(n int, fields ...string) *http.Response { // answers all, with n bytes
			return answer(nil, strings.Repeat("x", n), append(fields, "Cache-Control: max-age=5", "Vary: A")...)
		}
		code := func(code int, fields ...string) *http.Response {
			resp := page(0, fields...)
			resp.StatusCode, resp.Body = code, http.NoBody
			return resp
		}
		cut := page(3)
		cut.ContentLength = 9
		for _, step := range []struct {
			what, method, path, a string
			resp                  *http.Response
			want                  counts
		}{
			{"a page", "GET", "", "1", page(3, `Etag: "1"`), counts{1, 1, 0, 0}},
			{"a hit", "GET", "", "1", nil, counts{1, 1, 0, 0}},
			{"a variant", "GET", "", "2", page(3), counts{1, 2, 0, 0}},
			{"a page that is cut off", "GET", "cut", "", cut, counts{1, 2, 0, 0}},
			{"one that is not to be stored", "GET", "no", "", page(3, "Cache-Control: no-store"), counts{1, 2, 0, 0}},
			{"stale", "", "", "", nil, counts{1, 2, 0, 0}},
			{"a validation", "GET", "", "1", code(304), counts{1, 3, 0, 0}},
			{"HEAD: the same", "HEAD", "", "1", code(200, `Etag: "1"`), counts{1, 4, 0, 0}},
			{"stale again", "", "", "", nil, counts{1, 4, 0, 0}},
			{"HEAD: another", "HEAD", "", "1", code(200, `Etag: "2"`), counts{1, 4, 1, 0}},
			{"another variant", "GET", "", "3", page(3, `Etag: "1"`), counts{1, 5, 1, 0}},
			{"a write", "POST", "", "", code(200), counts{0, 5, 3, 0}},
			{"a page for a while", "GET", "", "1", page(3, `Etag: "1"`), counts{1, 6, 3, 0}},
			{"stale at last", "", "", "", nil, counts{1, 6, 3, 0}},
			{"a validation that forbids it", "GET", "", "1", code(304, "Cache-Control: no-store"), counts{0, 6, 4, 0}},
			{"a page of 15 KiB", "GET", "1", "", page(15 << 10), counts{1, 7, 4, 0}},
			{"another", "GET", "2", "", page(15 << 10), counts{2, 8, 4, 0}},
			{"for which there is no room", "GET", "3", "", page(15 << 10), counts{2, 9, 4, 1}},
			{"revoked", "GET", "3", "9", code(404, "Cache-Control: no-store"), counts{1, 9, 5, 1}},
		} {
			if step.method == "" {
				time.Sleep(10 * time.Second)
				continue
			}
			resp = step.resp
			req, _ := http.NewRequestWithContext(t.Context(), step.method, pageURL+step.path, nil)
			req.Header.Set("A", step.a)
			got, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, got.Body)
			got.Body.Close()
			s := c.Stats()
			if diff := cmp.Diff(step.want, counts{s.Keys, int(s.Stored), int(s.Invalidated), int(s.Evicted)}); diff != "" {
				t.Errorf("%s: want (-), got (+):\n%s", step.what, diff)
			}
		}
	})
}
