package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// The trailers come in while the caller looks at them, and others wait for the body:
// the caller's map is the caller's alone until its own Read has returned io.EOF. For
// the race detector.
func TestTrailersBelongToTheCaller(t *testing.T) {
	const trailers, rounds = 60, 30
	var announced []string
	for i := range trailers {
		announced = append(announced, fmt.Sprintf("X-%d", i))
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", strings.Join(announced, ", "))
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "head ")
		w.(http.Flusher).Flush()
		io.WriteString(w, "tail")
		for _, name := range announced {
			w.Header().Set(name, "late")
		}
		w.Header().Set(http.TrailerPrefix+"Unannounced", "late")
	}))
	defer backend.Close()
	target, _ := url.Parse(backend.URL)
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	rt := &httpcache.Transport{Cache: cache, Base: &http.Transport{}, Partition: func(*http.Request) string { return "me" }}
	defer rt.CloseIdleConnections()
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: rt,
	})
	defer front.Close()

	for i := range rounds {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { // through a proxy, which looks at the trailers before and after
				body, resp := get(t, t.Context(), http.DefaultClient, fmt.Sprint(front.URL, "/", i))
				if body != "head tail" || len(resp.Trailer) < trailers || resp.Trailer.Get("X-1") != "late" {
					t.Errorf("%q, %d trailers", body, len(resp.Trailer))
				}
			})
			wg.Go(func() { // and directly
				req, _ := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprint(backend.URL, "/", i), nil)
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				for range 100 {
					for name, values := range resp.Trailer {
						if len(values) > 0 && resp.Header.Get("Age") == "" {
							t.Errorf("%s is there before the end: %q", name, values)
						}
					}
				}
				io.Copy(io.Discard, resp.Body)
				if n := len(resp.Trailer); n != trailers+1 || resp.Trailer.Get("Unannounced") != "late" {
					t.Errorf("%d trailers: %v", n, resp.Trailer)
				}
				resp.Trailer.Set("X-1", "mine")
			})
		}
		wg.Wait()
	}
}
