package gateway_test

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

	"github.com/belay-go/belay/gateway"
)

// A cacheOrigin is a RoundTripper that counts.
type cacheOrigin struct {
	calls  atomic.Int64
	answer func(n int64, r *http.Request) (*http.Response, error)
}

func (o *cacheOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	return o.answer(o.calls.Add(1), r)
}

// cachedClient returns a client of an origin with a cache, and the cache.
func cachedClient(t *testing.T, cfg gateway.CacheConfig, answer func(n int64, r *http.Request) (*http.Response, error)) (*http.Client, *cacheOrigin, *gateway.Cache) {
	t.Helper()
	o := &cacheOrigin{answer: answer}
	c := gateway.NewCache(cfg)
	t.Cleanup(func() { c.Close() })
	return &http.Client{Transport: &gateway.Transport{Base: o, Cache: c}}, o, c
}

// cacheAnswer returns a response; fields are "Name: value".
func cacheAnswer(r *http.Request, body string, fields ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	return &http.Response{Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// cacheGet gets a URL and reads the body; fields are those of the request.
func cacheGet(t testing.TB, ctx context.Context, client *http.Client, url string, fields ...string) (string, *http.Response) {
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

const cacheURL = "http://service.test/"

func TestCachePartitions(t *testing.T) {
	who := func(_ int64, r *http.Request) (*http.Response, error) {
		return cacheAnswer(r, fmt.Sprint(r.Header), "Cache-Control: max-age=60"), nil
	}
	for _, field := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token"} {
		client, o, _ := cachedClient(t, gateway.CacheConfig{}, who)
		for range 2 {
			for _, name := range []string{"alice", "bob", "alicebob"} {
				if got, _ := cacheGet(t, t.Context(), client, cacheURL, field+": "+name); !strings.Contains(got, "["+name+"]") {
					t.Errorf("%s: %s got %s", field, name, got)
				}
			}
			if got, _ := cacheGet(t, t.Context(), client, cacheURL); strings.Contains(got, field) {
				t.Errorf("%s: nobody got %s", field, got)
			}
		}
		if n := o.calls.Load(); n != 4 {
			t.Errorf("%s: %d requests, want 4", field, n)
		}
	}
	// What is a credential in one field is another one in another.
	client, o, _ := cachedClient(t, gateway.CacheConfig{}, who)
	for _, fields := range [][]string{
		{"Authorization: a"}, {"Cookie: a"}, {"Cookie: aa"}, {"Cookie: a", "Cookie: a"}, {"Cookie: aCookiea"}, {"Authorization: a", "Cookie: a"},
	} {
		cacheGet(t, t.Context(), client, cacheURL, fields...)
	}
	if n := o.calls.Load(); n != 6 {
		t.Errorf("%d requests, want 6", n)
	}
	// Userinfo is a credential as well.
	client, o, _ = cachedClient(t, gateway.CacheConfig{}, who)
	for _, user := range []string{"a:b@", "a:c@", ""} {
		cacheGet(t, t.Context(), client, "http://"+user+"service.test/")
	}
	if n := o.calls.Load(); n != 3 {
		t.Errorf("userinfo: %d requests, want 3", n)
	}
}

func TestCacheOwnPartition(t *testing.T) {
	type tenant struct{}
	client, o, c := cachedClient(t, gateway.CacheConfig{Partition: func(r *http.Request) string {
		name, _ := r.Context().Value(tenant{}).(string)
		return name
	}}, func(_ int64, r *http.Request) (*http.Response, error) {
		return cacheAnswer(r, "ok", "Cache-Control: max-age=60"), nil
	})
	ctx := context.WithValue(t.Context(), tenant{}, "a")
	for _, token := range []string{"1", "2"} { // a token that changes does not matter
		cacheGet(t, ctx, client, cacheURL, "Authorization: "+token)
		cacheGet(t, context.WithValue(ctx, tenant{}, "b"), client, cacheURL, "Authorization: "+token)
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

func TestCachePartitionNamesAreSalted(t *testing.T) {
	req, _ := http.NewRequest("GET", cacheURL, nil)
	req.Header.Set("Authorization", "s3cr3t")
	a, b := gateway.NewCache(gateway.CacheConfig{}).Partition(req), gateway.NewCache(gateway.CacheConfig{}).Partition(req)
	if a == "" || a == b || strings.Contains(a, "s3cr3t") {
		t.Errorf("partitions %q and %q", a, b)
	}
}

func TestCachePurge(t *testing.T) {
	client, _, c := cachedClient(t, gateway.CacheConfig{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return cacheAnswer(r, "ok", "Cache-Control: max-age=60", "Vary: A"), nil
	})
	fill := func() {
		for _, path := range []string{"", "users", "users/1", "users/1?x", "userspace"} {
			for _, field := range []string{"A: 1", "A: 2", "Cookie: a"} {
				cacheGet(t, t.Context(), client, cacheURL+path, field)
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
		cacheGet(t, t.Context(), client, cacheURL, "Cookie: "+name)
	}
	req, _ := http.NewRequest("GET", cacheURL, nil)
	for _, name := range []string{"c", "b"} {
		req.Header.Set("Cookie", name)
		c.PurgePartition(c.Partition(req))
	}
	if n := c.Purge(cacheURL); n != 2 {
		t.Errorf("of two partitions: purged %d responses", n)
	}
	c.PurgePrefix("http://service.test")
	if s := c.Stats(); s.Keys != 0 || s.Bytes != 0 {
		t.Errorf("%d keys and %d bytes left", s.Keys, s.Bytes)
	}
}

// What was asked for before a purge or a write is not stored after it.
func TestCachePurgeDuringRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o, c := cachedClient(t, gateway.CacheConfig{}, func(n int64, r *http.Request) (*http.Response, error) {
			if r.Method == "GET" {
				time.Sleep(time.Second)
			}
			return cacheAnswer(r, fmt.Sprint(n), "Cache-Control: max-age=600"), nil
		})
		for i, purge := range []func(){
			func() { c.Purge(cacheURL) },
			func() { c.PurgePrefix(cacheURL) },
			func() { c.PurgePartition("") },
			func() {
				req, _ := http.NewRequestWithContext(t.Context(), "DELETE", cacheURL, nil)
				client.Do(req)
			},
			func() {},
		} {
			done := make(chan bool)
			go func() {
				cacheGet(t, t.Context(), client, cacheURL)
				close(done)
			}()
			time.Sleep(time.Second / 2)
			purge()
			<-done
			before := o.calls.Load()
			cacheGet(t, t.Context(), client, cacheURL)
			if stored := o.calls.Load() == before; stored != (i == 4) {
				t.Errorf("%d: the old response was stored: %v", i, stored)
			}
			c.Purge(cacheURL)
		}
	})
}

func TestCacheBudget(t *testing.T) {
	client, o, c := cachedClient(t, gateway.CacheConfig{MaxBytes: 100_000, MaxEntryBytes: 10_000}, func(n int64, r *http.Request) (*http.Response, error) {
		return cacheAnswer(r, strings.Repeat("x", 5_000), "Cache-Control: max-age=60", "Vary: A"), nil
	})
	for i := range 200 {
		cacheGet(t, t.Context(), client, cacheURL) // stays, for it is used
		cacheGet(t, t.Context(), client, fmt.Sprintf("%s%d", cacheURL, i))
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
		cacheGet(t, t.Context(), client, cacheURL, fmt.Sprintf("A: %d", i))
	}
	o.answer = func(n int64, r *http.Request) (*http.Response, error) { return cacheAnswer(r, ""), nil }
	for i := range 1000 {
		cacheGet(t, t.Context(), client, fmt.Sprintf("%s?%d", cacheURL, i))
	}
	if s := c.Stats(); s.Bytes > 100_000 {
		t.Errorf("%d bytes", s.Bytes)
	}
}

func TestCacheVariantsAreBounded(t *testing.T) {
	client, o, c := cachedClient(t, gateway.CacheConfig{}, func(n int64, r *http.Request) (*http.Response, error) {
		return cacheAnswer(r, "ok", "Cache-Control: max-age=60", "Vary: A"), nil
	})
	for i := range 100 {
		cacheGet(t, t.Context(), client, cacheURL, fmt.Sprintf("A: %d", i))
	}
	if n := c.Purge(cacheURL); n != 32 || o.calls.Load() != 100 {
		t.Errorf("%d variants after %d requests, want 32", n, o.calls.Load())
	}
}

func TestCacheSpellingsOfOneURL(t *testing.T) {
	client, o, _ := cachedClient(t, gateway.CacheConfig{}, func(n int64, r *http.Request) (*http.Response, error) {
		return cacheAnswer(r, "ok", "Cache-Control: max-age=60"), nil
	})
	for _, url := range []string{
		"http://service.test", "HTTP://SERVICE.test/", "http://service.test:80/", "http://service.test:/#x", "http://Service.Test",
	} {
		cacheGet(t, t.Context(), client, url)
	}
	if n := o.calls.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}
