package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// A origin is a RoundTripper that counts.
type origin struct {
	calls  atomic.Int64
	answer func(n int64, r *http.Request) (*http.Response, error)
}

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	return o.answer(o.calls.Add(1), r)
}

// newClient returns a client of an origin with a cache, and the cache.
func newClient(t *testing.T, cfg httpcache.Config, answer func(n int64, r *http.Request) (*http.Response, error)) (*http.Client, *origin, *httpcache.Cache) {
	t.Helper()
	o := &origin{answer: answer}
	c := httpcache.New(cfg)
	t.Cleanup(func() { c.Close() })
	return &http.Client{Transport: &httpcache.Transport{Base: o, Cache: c}}, o, c
}

// answer returns a response; fields are "Name: value".
func answer(r *http.Request, body string, fields ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	return &http.Response{Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// get gets a URL and reads the body; fields are those of the request.
func get(t testing.TB, ctx context.Context, client *http.Client, url string, fields ...string) (string, *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "error: " + err.Error(), nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "error: " + err.Error(), resp
	}
	return string(body), resp
}

const pageURL = "http://service.test/"

func TestPartitions(t *testing.T) {
	who := func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, fmt.Sprint(r.Header), "Cache-Control: max-age=60"), nil
	}
	for _, field := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token"} {
		client, o, _ := newClient(t, httpcache.Config{}, who)
		for range 2 {
			for _, name := range []string{"alice", "bob", "alicebob"} {
				if got, _ := get(t, t.Context(), client, pageURL, field+": "+name); !strings.Contains(got, "["+name+"]") {
					t.Errorf("%s: %s got %s", field, name, got)
				}
			}
			if got, _ := get(t, t.Context(), client, pageURL); strings.Contains(got, field) {
				t.Errorf("%s: nobody got %s", field, got)
			}
		}
		if n := o.calls.Load(); n != 4 {
			t.Errorf("%s: %d requests, want 4", field, n)
		}
	}
	// What is a credential in one field is another one in another.
	client, o, _ := newClient(t, httpcache.Config{}, who)
	for _, fields := range [][]string{
		{"Authorization: a"}, {"Cookie: a"}, {"Cookie: aa"}, {"Cookie: a", "Cookie: a"}, {"Cookie: aCookiea"}, {"Authorization: a", "Cookie: a"},
	} {
		get(t, t.Context(), client, pageURL, fields...)
	}
	if n := o.calls.Load(); n != 6 {
		t.Errorf("%d requests, want 6", n)
	}
	// Userinfo is a credential as well.
	client, o, _ = newClient(t, httpcache.Config{}, who)
	for _, user := range []string{"a:b@", "a:c@", ""} {
		get(t, t.Context(), client, "http://"+user+"service.test/")
	}
	if n := o.calls.Load(); n != 3 {
		t.Errorf("userinfo: %d requests, want 3", n)
	}
}

func TestOwnPartition(t *testing.T) {
	type tenant struct{}
	client, o, c := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", "Cache-Control: max-age=60"), nil
	})
	client.Transport.(*httpcache.Transport).Partition = func(r *http.Request) string {
		name, _ := r.Context().Value(tenant{}).(string)
		return name
	}
	ctx := context.WithValue(t.Context(), tenant{}, "a")
	for _, token := range []string{"1", "2"} { // a token that changes does not matter
		get(t, ctx, client, pageURL, "Authorization: "+token)
		get(t, context.WithValue(ctx, tenant{}, "b"), client, pageURL, "Authorization: "+token)
	}
	if n := o.calls.Load(); n != 2 {
		t.Errorf("%d requests, want one for each tenant", n)
	}
	if n := c.PurgePartition("a"); n != 1 {
		t.Errorf("purged %d responses, want 1", n)
	}
	if n := c.Stats().Keys; n != 1 {
		t.Errorf("%d keys left, want 1", n)
	}
}

func TestPurge(t *testing.T) {
	client, _, c := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", "Cache-Control: max-age=60", "Vary: A"), nil
	})
	fill := func() {
		for _, path := range []string{"", "users", "users/1", "users/1?x", "userspace"} {
			for _, field := range []string{"A: 1", "A: 2", "Cookie: a"} {
				get(t, t.Context(), client, pageURL+path, field)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		purge func() int
		want  int
	}{
		{"a URL, all its variants and partitions", func() int { return c.Purge("HTTP://service.test:80/users") }, 3},
		{"a URL with a query", func() int { return c.Purge("http://service.test/users/1?x#fragment") }, 3},
		{"no URL", func() int { return c.Purge(":") + c.PurgePrefix(":") }, 0},
		{"another host", func() int { return c.Purge("http://other.test/") + c.PurgePrefix("http://other.test/") }, 0},
		{"a prefix", func() int { return c.PurgePrefix("http://service.test/users/") }, 6},
		{"a prefix with a query", func() int { return c.PurgePrefix("http://service.test/users/1?") }, 3},
		{"a host", func() int { return c.PurgePrefix("http://service.test") }, 15},
		{"a partition", func() int { return c.PurgePartition("") }, 10},
	} {
		fill()
		if got := tt.purge(); got != tt.want {
			t.Errorf("%s: purged %d responses, want %d", tt.name, got, tt.want)
		}
	}
	if n := c.Stats().Invalidated; n != 40 {
		t.Errorf("Stats().Invalidated is %d, want 40", n)
	}
	// However many partitions of a URL are left.
	for _, name := range []string{"a", "b", "c", "d"} {
		get(t, t.Context(), client, pageURL, "Cookie: "+name)
	}
	req, _ := http.NewRequest("GET", pageURL, nil)
	for _, name := range []string{"c", "b"} {
		req.Header.Set("Cookie", name)
		c.PurgePartition(httpcache.Credentials(req))
	}
	if n := c.Purge(pageURL); n != 2 {
		t.Errorf("of two partitions: purged %d responses", n)
	}
	c.PurgePrefix("http://service.test")
	if s := c.Stats(); s.Keys != 0 || s.Bytes != 0 {
		t.Errorf("%d keys and %d bytes left", s.Keys, s.Bytes)
	}
}

// What was asked for before a purge or a write is not stored after it.
func TestPurgeDuringRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			if r.Method == "GET" {
				time.Sleep(time.Second)
			}
			return answer(r, fmt.Sprint(n), "Cache-Control: max-age=600"), nil
		})
		for i, purge := range []func(){
			func() { c.Purge(pageURL) },
			func() { c.PurgePrefix(pageURL) },
			func() { c.PurgePartition("") },
			func() {
				req, _ := http.NewRequestWithContext(t.Context(), "DELETE", pageURL, nil)
				client.Do(req)
			},
			func() {},
		} {
			done := make(chan bool)
			go func() {
				get(t, t.Context(), client, pageURL)
				close(done)
			}()
			time.Sleep(time.Second / 2)
			purge()
			<-done
			before := o.calls.Load()
			get(t, t.Context(), client, pageURL)
			if stored := o.calls.Load() == before; stored != (i == 4) {
				t.Errorf("%d: the old response was stored: %v", i, stored)
			}
			c.Purge(pageURL)
		}
	})
}

func TestBudget(t *testing.T) {
	client, o, c := newClient(t, httpcache.Config{MaxBytes: 100_000, MaxEntryBytes: 10_000}, func(n int64, r *http.Request) (*http.Response, error) {
		return answer(r, strings.Repeat("x", 5_000), "Cache-Control: max-age=60", "Vary: A"), nil
	})
	for i := range 200 {
		get(t, t.Context(), client, pageURL) // stays, for it is used
		get(t, t.Context(), client, fmt.Sprintf("%s%d", pageURL, i))
		if s := c.Stats(); s.Bytes > 100_000 || s.Keys > 20 {
			t.Fatalf("%d bytes in %d keys", s.Bytes, s.Keys)
		}
	}
	if n := o.calls.Load(); n != 201 {
		t.Errorf("%d requests, want 201", n)
	}
	if s := c.Stats(); s.Evicted < 180 || s.Hits != 199 || s.Misses != 201 {
		t.Errorf("%+v", s)
	}
	// Variants of one URL are bounded as well, and so are marks of what is not stored.
	for i := range 1000 {
		get(t, t.Context(), client, pageURL, fmt.Sprintf("A: %d", i))
	}
	o.answer = func(n int64, r *http.Request) (*http.Response, error) { return answer(r, ""), nil }
	for i := range 1000 {
		get(t, t.Context(), client, fmt.Sprintf("%s?%d", pageURL, i))
	}
	if s := c.Stats(); s.Bytes > 100_000 {
		t.Errorf("%d bytes", s.Bytes)
	}
}

func TestVariantsAreBounded(t *testing.T) {
	client, o, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", "Cache-Control: max-age=60", "Vary: A"), nil
	})
	for i := range 100 {
		get(t, t.Context(), client, pageURL, fmt.Sprintf("A: %d", i))
	}
	if n := c.Purge(pageURL); n != 32 || o.calls.Load() != 100 {
		t.Errorf("%d variants after %d requests, want 32", n, o.calls.Load())
	}
}

func TestSpellingsOfOneURL(t *testing.T) {
	client, o, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", "Cache-Control: max-age=60"), nil
	})
	for _, url := range []string{
		"http://service.test", "HTTP://SERVICE.test/", "http://service.test:80/", "http://service.test:/#x", "http://Service.Test",
	} {
		get(t, t.Context(), client, url)
	}
	if n := o.calls.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}
