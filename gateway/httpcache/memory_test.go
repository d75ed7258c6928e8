package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// MaxBytes is what the cache takes, whatever it is filled with.
func TestMemory(t *testing.T) {
	const budget = 8 << 20
	block := repeat(strings.Repeat("0123456789", 4000))
	fields := []string{"Cache-Control: max-age=3600", "Content-Type: application/json", `Etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"`, "Server: x"}
	var open atomic.Int64
	for name, tt := range map[string]struct {
		requests int
		answer   func(r *http.Request) *http.Response
		stays    bool // the bodies are not read to their end
	}{
		"200 bytes": {8000, func(r *http.Request) *http.Response { return answer(r, strings.Repeat("x", 200), fields...) }, false},
		"20 KB":     {1000, func(r *http.Request) *http.Response { return answer(r, strings.Repeat("x", 20000), fields...) }, false},
		"600 KB, chunked": {60, func(r *http.Request) *http.Response {
			return stream(r, io.LimitReader(block, 600e3), fields...)
		}, false},
		"3 KB, chunked": {4000, func(r *http.Request) *http.Response {
			return stream(r, io.LimitReader(block, 3000), fields...)
		}, false},
		"1 MB announced, nothing sent": {500, func(r *http.Request) *http.Response {
			resp := stream(r, nil, fields...)
			h := newHanging(&open)
			h.sent = true
			resp.Body, resp.ContentLength = h, 1<<20
			return resp
		}, true},
		"1 MB announced, half sent": {100, func(r *http.Request) *http.Response {
			resp := stream(r, nil, fields...)
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.LimitReader(block, 500e3), newHanging(&open)}
			resp.ContentLength = 1 << 20
			return resp
		}, true},
		"not storable": {20000, func(r *http.Request) *http.Response { return answer(r, "x") }, false},
		"an own partition each": {8000, func(r *http.Request) *http.Response {
			return answer(r, strings.Repeat("x", 200), fields...)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			rt := &httpcache.Transport{Base: roundTripper(func(r *http.Request) (*http.Response, error) { return tt.answer(r), nil })}
			before := heap()
			c := httpcache.New(httpcache.Config{MaxBytes: budget})
			rt.Cache = c
			bodies := make([]io.ReadCloser, 0, tt.requests)
			buf := make([]byte, 32<<10)
			for i := range tt.requests {
				req, _ := http.NewRequest("GET", fmt.Sprint("http://service.test/users/", i, "?fields=all"), nil)
				if name == "an own partition each" {
					req.Header.Set("Authorization", fmt.Sprint("Bearer ", i))
				}
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case !tt.stays:
					for err == nil {
						_, err = resp.Body.Read(buf)
					}
					resp.Body.Close()
				default:
					if strings.Contains(name, "half") {
						for range 500e3 / len(buf) {
							resp.Body.Read(buf)
						}
					}
					bodies = append(bodies, resp.Body)
				}
			}
			took, s := heap()-before, c.Stats()
			t.Logf("%d KiB of heap, %d KiB counted, %d keys", took>>10, s.Bytes>>10, s.Keys)
			if took > budget*5/4 {
				t.Errorf("it takes %d bytes, more than a quarter over %d; %+v", took, budget, s)
			}
			if s.Bytes > budget {
				t.Errorf("it counts %d bytes", s.Bytes)
			}
			if full := s.Keys > 0; full && s.Evicted > 0 && s.Bytes < budget*3/4 {
				t.Errorf("it throws out what it has room for: %+v", s)
			}
			for _, b := range bodies {
				b.Close()
			}
			if s := c.Stats(); tt.stays && s.Bytes != 0 {
				t.Errorf("all bodies are closed, and it counts %d bytes", s.Bytes)
			}
			c.Close()
			runtime.KeepAlive(rt)
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What is not storable does not push out what is.
func TestUnstorableResponsesPushNothingOut(t *testing.T) {
	client, o, c := newClient(t, httpcache.Config{MaxBytes: 1 << 20}, func(_ int64, r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/config" {
			return answer(r, "config", "Cache-Control: max-age=3600"), nil
		}
		return answer(r, "result", "Cache-Control: no-store"), nil
	})
	get(t, t.Context(), client, pageURL+"config")
	for i := range 10000 {
		get(t, t.Context(), client, fmt.Sprintf("%ssearch?q=%d", pageURL, i))
	}
	if get(t, t.Context(), client, pageURL+"config"); o.calls.Load() != 10001 {
		t.Errorf("the config was asked for again")
	}
	if s := c.Stats(); s.Keys != 1 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
}

// What is announced makes no room for itself before it comes.
func TestAnnouncedBodiesPushNothingOut(t *testing.T) {
	var open atomic.Int64
	client, _, c := newClient(t, httpcache.Config{MaxBytes: 8 << 20}, func(_ int64, r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/page") {
			return answer(r, strings.Repeat("x", 20000), "Cache-Control: max-age=3600"), nil
		}
		resp := stream(r, nil)
		resp.Body, resp.ContentLength = newHanging(&open), 1<<20
		return resp, nil
	})
	for i := range 100 {
		get(t, t.Context(), client, fmt.Sprint(pageURL, "page", i))
	}
	for i := range 50 {
		resp, err := client.Get(fmt.Sprint(pageURL, i))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.ReadFull(resp.Body, make([]byte, 5))
	}
	if s := c.Stats(); s.Keys != 100 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
}
