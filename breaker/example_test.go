package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/belay-go/belay/breaker"
)

func ExampleDo() {
	b := breaker.New(breaker.Config{Name: "users", Consecutive: 2})
	fetch := func(context.Context) (string, error) { return "", errors.New("connection refused") }

	for range 3 {
		_, err := breaker.Do(context.Background(), b, fetch)
		fmt.Println(err)
	}
	// Output:
	// connection refused
	// connection refused
	// breaker "users" is open
}

func ExampleRun() {
	b := breaker.New(breaker.Config{})
	err := breaker.Run(context.Background(), b, func(context.Context) error { return nil })
	fmt.Println(err, b.State())
	// Output: <nil> closed
}

func ExampleWrap() {
	b := breaker.New(breaker.Config{})
	length := breaker.Wrap(b, func(_ context.Context, s string) (int, error) { return len(s), nil })

	fmt.Println(length(context.Background(), "belay"))
	// Output: 5 <nil>
}

// What begins here and ends there, such as a stream, asks first and reports later.
func ExampleBreaker_Allow() {
	b := breaker.New(breaker.Config{})

	permit, err := b.Allow()
	if err != nil {
		fmt.Println("not now:", err)
		return
	}
	outcome := breaker.Failure // unless the stream comes to its end
	defer func() { permit.Done(outcome) }()

	for chunk := range 3 {
		fmt.Println("chunk", chunk)
	}
	outcome = breaker.Success
	// Output:
	// chunk 0
	// chunk 1
	// chunk 2
}

// A server passes on how long its own backend will be out of reach.
func ExampleError_RetryAfter() {
	b := breaker.New(breaker.Config{Consecutive: 1})
	breaker.Run(context.Background(), b, func(context.Context) error { return errors.New("down") })

	err := breaker.Run(context.Background(), b, func(context.Context) error { return nil })
	if e, ok := errors.AsType[*breaker.Error](err); ok {
		soon := e.RetryAfter() > 3*time.Second && e.RetryAfter() <= 5*time.Second
		fmt.Println(errors.Is(err, breaker.ErrOpen), soon)
	}
	// Output: true true
}

func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()

	transport := &breaker.Transport{} // one breaker for each host
	client := &http.Client{Transport: transport}
	for range 25 {
		resp, err := client.Get(server.URL)
		if errors.Is(err, breaker.ErrOpen) {
			continue // nothing was sent
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	for host, b := range transport.All() {
		fmt.Println(host == server.URL, b.State())
	}
	// Output: true open
}
