package breaker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
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
	// breaker "users" is open: 2 calls in a row failed or were slow
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
	defer permit.Done(breaker.Failure) // if the stream breaks: the first Done counts

	permit.Answered(breaker.Success) // it has begun, and this may take hours
	for chunk := range 3 {
		fmt.Println("chunk", chunk)
	}
	permit.Done(breaker.Success)
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

// Each tenant's shard has a breaker of its own.
func ExampleSet() {
	shards := breaker.NewSet(breaker.SetConfig[string]{
		Name: "shard of",
	})
	query := func(tenant string) error {
		return breaker.Run(context.Background(), shards.Get(tenant), func(context.Context) error {
			if tenant == "acme" {
				return errors.New("disk full")
			}
			return nil
		})
	}

	for range 5 {
		query("acme")
	}
	fmt.Println(query("acme"))
	fmt.Println(query("globex"))
	// Output:
	// breaker "shard of acme" is open: the last 5 calls failed or were slow, and none was good in 10s
	// <nil>
}

// A health page shows the breakers of a client.
func ExampleTransport_All() {
	transport := &breaker.Transport{Base: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	client := &http.Client{Transport: transport}
	client.Get("http://users.test/")

	health := func(w http.ResponseWriter, _ *http.Request) {
		page := map[string]string{}
		for host, b := range transport.All() {
			s := b.Stats()
			page[host] = s.State.String() + ", " + s.Reason
		}
		json.NewEncoder(w).Encode(page)
	}

	w := httptest.NewRecorder()
	health(w, httptest.NewRequest("GET", "/health/backends", nil))
	fmt.Print(w.Body)
	// Output: {"http://users.test":"closed, 1 of at least 20 calls in the window"}
}

// Changes of state go to the log.
func ExampleConfig_observe() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	b := breaker.New(breaker.Config{
		Name:        "users",
		Consecutive: 2,
		Observe: func(ctx context.Context, e breaker.Event) {
			if e.Kind == breaker.Changed {
				logger.WarnContext(ctx, "breaker "+e.Transition.To.String(), "name", e.Name, "reason", e.Transition.Reason)
			}
		},
	})

	for range 2 {
		breaker.Run(context.Background(), b, func(context.Context) error { return errors.New("down") })
	}
	// Output: level=WARN msg="breaker open" name=users reason="2 calls in a row failed or were slow"
}

// Work on the backend is announced: nobody calls it, and everybody knows why.
func ExampleBreaker_Trip() {
	b := breaker.New(breaker.Config{Name: "users"})
	b.Trip(10*time.Minute, errors.New("maintenance until 10:30"))

	fmt.Println(breaker.Run(context.Background(), b, func(context.Context) error { return nil }))
	// Output: breaker "users" is open: maintenance until 10:30
}
