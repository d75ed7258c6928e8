package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// A hit allocates the response and the map of its header, whoever asks; a large map is
// three pieces of memory more than a small one.
func TestHitAllocates(t *testing.T) {
	few := []string{"Cache-Control: private, max-age=3600", "Content-Type: application/json", `Etag: "abcdef"`, "Content-Length: 2048", "Vary: Accept, Authorization"}
	many := few
	for i := range 20 {
		many = append(many, fmt.Sprintf("X-Field-%d: value", i))
	}
	for name, tt := range map[string]struct {
		fields []string
		limit  float64
	}{"few fields": {few, 3}, "many fields": {many, 5}} {
		o := &origin{answer: func(_ int64, r *http.Request) (*http.Response, error) {
			return answer(r, strings.Repeat("x", 2048), tt.fields...), nil
		}}
		rt := &httpcache.Transport{Base: o, Cache: httpcache.New(httpcache.Config{})}
		req, _ := http.NewRequestWithContext(context.Background(), "GET", "http://service.test/users/1?q=a", nil)
		req.Header = http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer 0123456789"}, "X-Api-Version": {"1"}}
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
		if n := testing.AllocsPerRun(100, get); n > tt.limit {
			t.Errorf("%s: a hit allocates %v times, want at most %v", name, n, tt.limit)
		}
		if n := o.calls.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	}
}
