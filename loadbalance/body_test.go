package loadbalance_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/belay-go/belay/loadbalance"
)

// A response whose header is fine and whose body breaks off is a failure, and no
// success before that: five in a row eject.
func TestBrokenBodiesEject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := hosts(t, "http://good.example", "http://broken.example")
		tr := &loadbalance.Transport{Balancer: b, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("whole"))}
			if r.URL.Host == "broken.example" {
				resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("ha"), iotest.ErrReader(errors.New("reset"))))
			}
			return resp, nil
		}), Hint: func(*http.Request) loadbalance.Hint {
			return loadbalance.Hint{Prefer: []string{"http://broken.example"}}
		}}
		failed := 0
		for range 20 {
			resp, err := tr.RoundTrip(get(t, "http://shop.example/"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(resp.Body); err != nil {
				failed++
			}
			resp.Body.Close()
		}
		if s := b.Stats().Endpoints[1]; failed != 5 || s.State != loadbalance.Ejected {
			t.Errorf("%d calls failed, then it was %v (%s); want 5, ejected", failed, s.State, s.Reason)
		}
	})
}
