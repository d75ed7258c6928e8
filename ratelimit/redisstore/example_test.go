package redisstore_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/ratelimit/redisstore"
	"github.com/redis/go-redis/v9"
)

// All replicas of a server share a limit for each tenant.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "redis:6379"})
	defer client.Close()
	tenants := ratelimit.NewShared(ratelimit.SharedConfig{
		Name:  "tenant",
		Store: redisstore.New(redisstore.Config{Client: client}),
		Rate:  100,
		Burst: 20,
	})
	limit := ratelimit.Middleware(func(r *http.Request) ratelimit.Decision {
		return tenants.Take(r.Context(), r.Header.Get("Tenant"), 1)
	})
	http.Handle("/", limit(http.NotFoundHandler()))
}

// A store that cannot be reached does not stop the calls.
func ExampleNew() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	quota := ratelimit.NewShared(ratelimit.SharedConfig{
		Store: redisstore.New(redisstore.Config{Client: client}),
		Rate:  1000,
		Burst: 10,
	})
	fmt.Println(quota.Wait(context.Background(), "search API"))
	fmt.Println(quota.Stats().Err != nil)
	// Output:
	// <nil>
	// true
}
