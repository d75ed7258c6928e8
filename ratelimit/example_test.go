package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"golang.org/x/time/rate"
)

func ExampleLimiter_Wait() {
	limiter := ratelimit.New(ratelimit.Config{Rate: 1000, Burst: 10})

	for i := range 3 {
		if err := limiter.Wait(context.Background()); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("call", i)
	}
	// Output:
	// call 0
	// call 1
	// call 2
}

func ExampleLimiter_Allow() {
	limiter := ratelimit.New(ratelimit.Config{Rate: rate.Every(time.Hour), Burst: 2})
	fmt.Println(limiter.Allow(), limiter.Allow(), limiter.Allow())
	// Output: true true false
}

// A wait that cannot end in time fails at once.
func ExampleError() {
	limiter := ratelimit.New(ratelimit.Config{Rate: rate.Every(time.Hour)})
	limiter.Allow()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := limiter.Wait(ctx)
	fmt.Println(errors.Is(err, ratelimit.ErrLimited), errors.Is(err, ratelimit.ErrDeadline))
	// Output: true true
}

func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()

	client := &http.Client{Transport: &ratelimit.Transport{
		Limiter: ratelimit.New(ratelimit.Config{Rate: 100, Burst: 5}),
	}}
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}
