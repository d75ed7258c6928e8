package httpcache_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// Hooks run while no lock is held: they may use the cache.
func TestObserve(t *testing.T) {
	var c *httpcache.Cache
	var got []string
	type key struct{}
	client, _, c := newClient(t, httpcache.Config{MaxBytes: 6000, Observe: func(ctx context.Context, e httpcache.Event) {
		c.Stats()
		c.Purge("http://nobody.test/")
		if e.Kind <= httpcache.Bypassed && (ctx.Value(key{}) != 1 || e.Request == nil || e.Status.Cache != "belay") {
			t.Errorf("%v: %+v", e.Kind, e)
		}
		got = append(got, e.Kind.String())
	}}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, strings.Repeat("x", 1000), "Cache-Control: max-age=60"), nil
	})
	ctx := context.WithValue(t.Context(), key{}, 1)
	for _, path := range []string{"a", "a", "b", "c"} {
		get(t, ctx, client, pageURL+path)
	}
	req, _ := http.NewRequestWithContext(ctx, "PUT", pageURL+"c", nil)
	client.Do(req)
	if want := "[miss hit miss miss evicted invalidated bypassed]"; want != "["+strings.Join(got, " ")+"]" {
		t.Errorf("%v, want %v", got, want)
	}
	if s := httpcache.Kind(99).String(); s != "Kind(99)" {
		t.Error(s)
	}
}

func TestNotMade(t *testing.T) {
	closed := false
	req, _ := http.NewRequest("POST", pageURL, closeFunc(func() { closed = true }))
	_, err := (&httpcache.Transport{Cache: new(httpcache.Cache)}).RoundTrip(req)
	if err == nil || !strings.HasPrefix(err.Error(), "httpcache: ") || !closed {
		t.Errorf("%v, closed: %v", err, closed)
	}
	rt := &httpcache.Transport{Base: &origin{answer: func(int64, *http.Request) (*http.Response, error) { return nil, nil }},
		Cache: httpcache.New(httpcache.Config{})}
	req, _ = http.NewRequest("GET", pageURL, nil)
	if resp, err := rt.RoundTrip(req); resp != nil || err == nil {
		t.Errorf("%v, %v", resp, err)
	}
}

type closeFunc func()

func (closeFunc) Read([]byte) (int, error) { return 0, io.EOF }
func (f closeFunc) Close() error           { f(); return nil }

func TestConfigValidate(t *testing.T) {
	bad := httpcache.Config{Name: "a\n", MaxBytes: -1, MaxEntryBytes: -1, Heuristic: 2, RefreshTimeout: -time.Second, Targeted: []string{"a b"}}
	err := bad.Validate()
	for _, field := range []string{"Name", "MaxBytes", "MaxEntryBytes", "Heuristic", "RefreshTimeout", "Targeted"} {
		if err == nil || !strings.Contains(err.Error(), "httpcache: Config."+field+" ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, good := range []httpcache.Config{{}, {Name: "a b"}, {StaleIfError: -1}, {MaxBytes: 10}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	defer func() {
		if r := recover(); r == nil || !strings.HasPrefix(r.(string), "httpcache: ") {
			t.Errorf("New panicked with %v", r)
		}
	}()
	httpcache.New(httpcache.Config{MaxBytes: 10, MaxEntryBytes: 20})
}
