package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
)

// Hooks run while no lock is held: they may use the cache.
func TestCacheObserve(t *testing.T) {
	var c *gateway.Cache
	var got []string
	type key struct{}
	client, _, c := cachedClient(t, gateway.CacheConfig{MaxBytes: 6000, Observe: func(ctx context.Context, e gateway.CacheEvent) {
		c.Stats()
		c.Purge("http://nobody.test/")
		if e.Kind <= gateway.CacheBypassed && (ctx.Value(key{}) != 1 || e.Request == nil || e.Status.Cache != "belay") {
			t.Errorf("%v: %+v", e.Kind, e)
		}
		got = append(got, e.Kind.String())
	}}, func(_ int64, r *http.Request) (*http.Response, error) {
		return cacheAnswer(r, strings.Repeat("x", 1000), "Cache-Control: max-age=60"), nil
	})
	ctx := context.WithValue(t.Context(), key{}, 1)
	for _, path := range []string{"a", "a", "b", "c"} {
		cacheGet(t, ctx, client, cacheURL+path)
	}
	req, _ := http.NewRequestWithContext(ctx, "PUT", cacheURL+"c", nil)
	client.Do(req)
	if want := "[miss hit miss miss evicted invalidated bypassed]"; want != "["+strings.Join(got, " ")+"]" {
		t.Errorf("%v, want %v", got, want)
	}
	if s := gateway.CacheKind(99).String(); s != "CacheKind(99)" {
		t.Error(s)
	}
}

func TestCacheNotMade(t *testing.T) {
	closed := false
	req, _ := http.NewRequest("POST", cacheURL, cacheCloseFunc(func() { closed = true }))
	_, err := (&gateway.Transport{Cache: new(gateway.Cache)}).RoundTrip(req)
	if err == nil || !strings.HasPrefix(err.Error(), "gateway: ") || !closed {
		t.Errorf("%v, closed: %v", err, closed)
	}
	rt := &gateway.Transport{Base: &cacheOrigin{answer: func(int64, *http.Request) (*http.Response, error) { return nil, nil }},
		Cache: gateway.NewCache(gateway.CacheConfig{})}
	req, _ = http.NewRequest("GET", cacheURL, nil)
	if resp, err := rt.RoundTrip(req); resp != nil || err == nil {
		t.Errorf("%v, %v", resp, err)
	}
}

type cacheCloseFunc func()

func (cacheCloseFunc) Read([]byte) (int, error) { return 0, io.EOF }
func (f cacheCloseFunc) Close() error           { f(); return nil }

func TestCacheConfigValidate(t *testing.T) {
	bad := gateway.CacheConfig{Name: "a\n", MaxBytes: -1, MaxEntryBytes: -1, Heuristic: 2, RefreshTimeout: -time.Second, Targeted: []string{"a b"}}
	err := bad.Validate()
	for _, field := range []string{"Name", "MaxBytes", "MaxEntryBytes", "Heuristic", "RefreshTimeout", "Targeted"} {
		if err == nil || !strings.Contains(err.Error(), "gateway: CacheConfig."+field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, good := range []gateway.CacheConfig{{}, {Name: "a b"}, {StaleIfError: -1}, {MaxBytes: 10}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	defer func() {
		if r := recover(); r == nil || !strings.HasPrefix(r.(string), "gateway: ") {
			t.Errorf("NewCache panicked with %v", r)
		}
	}()
	gateway.NewCache(gateway.CacheConfig{MaxBytes: 10, MaxEntryBytes: 20})
}
