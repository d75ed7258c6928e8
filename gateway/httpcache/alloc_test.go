package httpcache_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

func TestHitAllocates(t *testing.T) {
	o := &origin{answer: func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, strings.Repeat("x", 2048), "Cache-Control: max-age=3600", "Content-Type: application/json",
			`Etag: "abcdef"`, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 2048", "Vary: Accept"), nil
	}}
	rt := &httpcache.Transport{Base: o, Cache: httpcache.New(httpcache.Config{})}
	req, _ := http.NewRequestWithContext(context.Background(), "GET", "http://service.test/users/1?q=a", nil)
	req.Header.Set("Accept", "application/json")
	buf := make([]byte, 4096)
	hit := false
	get := func() {
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		if err != io.EOF || hit && resp.Header["Age"] == nil || resp.Header["Cache-Status"] == nil {
			t.Fatal(err, resp.Header)
		}
		resp.Body.Close()
	}
	get()
	hit = true
	if n := testing.AllocsPerRun(100, get); n > 8 {
		t.Errorf("a hit allocates %v times, want at most 8", n)
	}
	if n := o.calls.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}
