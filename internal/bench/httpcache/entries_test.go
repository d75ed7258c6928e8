package httpcache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// hitOneOf measures hits on a cache with so many entries, each of 200 bytes, in an order
// that no cache of the processor's foresees.
func hitOneOf(b *testing.B, entries int) {
	belay := func(base http.RoundTripper) http.RoundTripper {
		return &httpcache.Transport{Base: base, Cache: httpcache.New(httpcache.Config{MaxBytes: 1 << 30})}
	}
	for _, impl := range []struct {
		name string
		wrap func(http.RoundTripper) http.RoundTripper
	}{{"belay", belay}, {"gregjones", gregjones}} {
		b.Run(impl.name, func(b *testing.B) {
			calls := 0
			rt := impl.wrap(roundTripper(func(r *http.Request) (*http.Response, error) {
				calls++
				w := httptest.NewRecorder()
				w.Header().Set("Cache-Control", "max-age=3600")
				w.Header().Set("Date", "Thu, 01 Jan 2099 00:00:00 GMT")
				w.Write(content[:200])
				resp := w.Result()
				resp.Request = r
				return resp, nil
			}))
			buf := make([]byte, 4096)
			requests := make([]*http.Request, entries)
			for i := range requests {
				requests[i] = fresh(request(b, plain), i)
				read(b, rt, requests[i], buf)
			}
			n := uint(0)
			b.ReportAllocs()
			for b.Loop() {
				n = n*1664525 + 1013904223
				resp, err := rt.RoundTrip(requests[(n>>8)%uint(entries)])
				for err == nil {
					_, err = resp.Body.Read(buf)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
			if calls != entries {
				b.Fatalf("%d requests to the origin, for %d entries", calls, entries)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
