package belay_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

func Example() {
	backend := flakyBackend()
	defer backend.Close()

	client := &http.Client{
		Timeout: 2 * time.Second,
		Transport: &retry.Transport{ // try again, when that can help
			Base: &breaker.Transport{ // but not what is down
				Base: &ratelimit.Transport{ // nor faster than agreed
					Limiter: ratelimit.New(ratelimit.Config{Rate: 100, Burst: 20}),
				},
			},
		},
	}

	resp, err := client.Get(backend.URL)
	switch {
	case errors.Is(err, breaker.ErrOpen):
		fmt.Println("the backend is down, and we have not made it worse")
	case err != nil:
		fmt.Println(err)
	default:
		defer resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output: 200 OK
}

// flakyBackend answers every other request with 503.
func flakyBackend() *httptest.Server {
	requests := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
}
