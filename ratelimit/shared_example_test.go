package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/belay-go/belay/ratelimit"
)

// memory is a Store for one process, such as a test.
type memory struct {
	mu   sync.Mutex
	ends map[string]time.Time // up to which tokens have been given out
}

func (m *memory) Lease(_ context.Context, key string, r ratelimit.LeaseRequest) (ratelimit.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, end := time.Now(), m.ends[key]
	if end.Before(now) {
		end = now
	}
	if latest := now.Add(time.Duration(r.Burst+r.N)*r.Interval + r.Ahead); end.After(latest) {
		end = latest // from when the limit was lower
	}
	lease := ratelimit.Lease{Begin: end.Sub(now), Owners: 1}
	if r.N == 0 {
		return lease, nil // what is given back is lost here
	}
	room := (time.Duration(r.Burst)*r.Interval + r.Within - lease.Begin) / r.Interval
	if n := min(r.N, int(room)); n >= r.Least {
		lease.N = n
		m.ends[key] = end.Add(time.Duration(n) * r.Interval)
	} else {
		lease.RetryAfter = lease.Begin + time.Duration(r.Least-r.Burst)*r.Interval
	}
	return lease, nil
}

// One limit for each tenant, over all replicas of a gateway. A Store on Redis takes the
// place of memory in production: see the package redisstore.
func ExampleShared() {
	tenants := ratelimit.NewShared(ratelimit.SharedConfig{
		Name:  "tenants",
		Store: &memory{ends: map[string]time.Time{}},
		Rate:  1,
		Burst: 2,
	})
	for range 3 {
		d := tenants.Take(context.Background(), "acme", 1)
		fmt.Println(d.OK, d.RetryAfter > 0)
	}
	// Output:
	// true false
	// true false
	// false true
}

// A client that waits for its share of what an API allows to the whole fleet.
func ExampleShared_Wait() {
	quota := ratelimit.NewShared(ratelimit.SharedConfig{
		Store: &memory{ends: map[string]time.Time{}},
		Rate:  1000,
	})
	client := &http.Client{Transport: &ratelimit.Transport{
		Wait: func(r *http.Request) error { return quota.Wait(r.Context(), "search API") },
	}}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}
