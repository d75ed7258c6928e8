// Package transport_test measures what belay's load balancer adds to a request.
//
// The floor is a request that is answered at once, and belay one that goes there by
// way of a choice among ten hosts; the difference is what counts. It stands apart
// from the other benchmarks of the load balancer because their peers bring so much
// memory along that the garbage collector has more to do for every allocation.
package transport_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/belay-go/belay/internal/bench/instant"
	"github.com/belay-go/belay/loadbalance"
)

func BenchmarkLoadbalance(b *testing.B) {
	b.Run("transport", transport)
	b.Run("transport-par", transportPar)
}

const service = "http://service.example/item"

// hosts returns a transport among ten hosts, and fails the benchmark unless it uses
// all of them.
func hosts(b *testing.B) http.RoundTripper {
	b.Helper()
	var urls []string
	for i := range 10 {
		urls = append(urls, "http://10.0.0."+strconv.Itoa(i)+":8080")
	}
	lb, err := loadbalance.Hosts(urls...)
	if err != nil {
		b.Fatal(err)
	}
	used := map[string]bool{}
	t := &loadbalance.Transport{Balancer: lb, Host: "service.example", Base: listener{used}}
	for range 100 {
		send(b, t)
	}
	if len(used) != len(urls) {
		b.Fatalf("requests went to %d of %d hosts", len(used), len(urls))
	}
	return &loadbalance.Transport{Balancer: lb, Host: "service.example", Base: instant.Transport{}}
}

// listener notes the hosts that it is asked for.
type listener struct{ used map[string]bool }

func (l listener) RoundTrip(req *http.Request) (*http.Response, error) {
	l.used[req.URL.Host] = true
	return instant.Transport{}.RoundTrip(req)
}

func send(b *testing.B, t http.RoundTripper) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, service, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
}

func transport(b *testing.B) {
	b.Run("belay", func(b *testing.B) { roundTrip(b, hosts(b)) })
	b.Run("floor", func(b *testing.B) { roundTrip(b, instant.Transport{}) })
}

func roundTrip(b *testing.B, t http.RoundTripper) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, service, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := t.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

func transportPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) { roundTripPar(b, hosts(b)) })
	b.Run("floor", func(b *testing.B) { roundTripPar(b, instant.Transport{}) })
}

func roundTripPar(b *testing.B, t http.RoundTripper) {
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, service, nil)
		if err != nil {
			b.Error(err)
			return
		}
		for pb.Next() {
			resp, err := t.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Error(err)
				return
			}
			resp.Body.Close()
		}
	})
}
