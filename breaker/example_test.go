package breaker_test

import (
	"cmp"
	"context"
	"database/sql"
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

// A driver that is called in two steps, here for one query: the first Done counts.
func ExampleBreaker_Allow() {
	b := breaker.New(breaker.Config{})
	query := func(ctx context.Context) error {
		permit, err := b.Allow()
		if err != nil {
			return err
		}
		defer permit.Done(breaker.Failure) // if the driver panics
		err = ctx.Err()                    // what the driver returns
		permit.Done(b.Outcome(ctx, err))
		return err
	}

	fmt.Println(query(context.Background()), b.Stats().Window.Calls)
	// Output: <nil> 1
}

// A stream that has begun well is a good call, though it goes on for hours.
func ExamplePermit_Answered() {
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

// In most databases a row that is not there is an answer, and a caller who gives up
// early by its own choice says nothing about the database.
func ExampleConfig_classify() {
	errImpatient := errors.New("autocomplete waits for 5 ms only")
	b := breaker.New(breaker.Config{
		Name: "database",
		Classify: func(ctx context.Context, err error) breaker.Outcome {
			switch {
			case errors.Is(err, sql.ErrNoRows):
				return breaker.Success
			case context.Cause(ctx) == errImpatient:
				return breaker.Ignored
			}
			return breaker.Default // a cancel is ignored, a refusal too, the rest fails
		},
	})

	ctx := context.Background()
	impatient, cancel := context.WithTimeoutCause(ctx, -1, errImpatient)
	defer cancel()
	fmt.Println(b.Outcome(ctx, fmt.Errorf("user 7: %w", sql.ErrNoRows)))
	fmt.Println(b.Outcome(impatient, context.DeadlineExceeded))
	fmt.Println(b.Outcome(ctx, errors.New("connection reset")))
	fmt.Println(b.Outcome(ctx, nil))
	// Output:
	// success
	// ignored
	// failure
	// success
}

// A Classify is tested without a call.
func ExampleBreaker_Outcome() {
	b := breaker.New(breaker.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	fmt.Println(b.Outcome(ctx, errors.New("driver: interrupted")))
	cancel()
	fmt.Println(b.Outcome(ctx, errors.New("driver: interrupted"))) // by the caller
	// Output:
	// failure
	// ignored
}

// gRPC answers 200, and says in the trailers how it went. For an answer without a body
// it says so in the header.
func ExampleTransport_classify() {
	transport := &breaker.Transport{
		Classify: func(resp *http.Response, err error) breaker.Outcome {
			switch cmp.Or(resp.Trailer.Get("Grpc-Status"), resp.Header.Get("Grpc-Status")) {
			case "": // not gRPC, an error, or not known yet
				return breaker.Default
			case "4", "8", "13", "14", "15": // the server's, as DeadlineExceeded and Unavailable are
				return breaker.Failure
			}
			return breaker.Success
		},
	}

	fmt.Println(transport.Classify(&http.Response{Trailer: http.Header{"Grpc-Status": {"14"}}}, nil))
	fmt.Println(transport.Classify(&http.Response{StatusCode: 200}, nil))
	// Output:
	// failure
	// default
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

// The counters of Stats only grow, so that a metrics system takes them as they are.
func ExampleBreaker_Stats() {
	b := breaker.New(breaker.Config{Name: "users", Consecutive: 2})
	for _, err := range []error{nil, errors.New("down"), errors.New("down"), nil} {
		breaker.Run(context.Background(), b, func(context.Context) error { return err })
	}

	s := b.Stats()
	fmt.Printf("breaker_calls_total{name=%q} %d\n", s.Name, s.Calls)
	fmt.Printf("breaker_failed_total{name=%q} %d\n", s.Name, s.Failed)
	fmt.Printf("breaker_refused_total{name=%q} %d\n", s.Name, s.Refused)
	fmt.Printf("breaker_opened_total{name=%q} %d\n", s.Name, s.Opened)
	// Output:
	// breaker_calls_total{name="users"} 3
	// breaker_failed_total{name="users"} 2
	// breaker_refused_total{name="users"} 1
	// breaker_opened_total{name="users"} 1
}

// How many breakers a Set has, and whether it has room enough: those that it needs
// should not have to make room for others.
func ExampleSet_Stats() {
	set := breaker.NewSet(breaker.SetConfig[string]{Name: "shard of", MaxKeys: 2})
	for _, tenant := range []string{"acme", "globex", "initech"} {
		set.Get(tenant).Trip(0, nil)
	}
	s := set.Stats()
	fmt.Println(s.Keys, "breakers,", s.Open, "open,", s.Evicted, "evicted")
	// Output: 2 breakers, 2 open, 1 evicted
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

// An operator keeps all calls away, and lets them come again.
func ExampleBreaker_Force() {
	b := breaker.New(breaker.Config{Name: "users"})
	b.Force(breaker.ForcedOpen)
	fmt.Println(breaker.Run(context.Background(), b, func(context.Context) error { return nil }))

	b.Force(breaker.Auto)
	fmt.Println(breaker.Run(context.Background(), b, func(context.Context) error { return nil }))
	// Output:
	// breaker "users" is open: forced open
	// <nil>
}

// Work on the backend is announced: nobody calls it, and everybody knows why.
func ExampleBreaker_Trip() {
	b := breaker.New(breaker.Config{Name: "users"})
	b.Trip(10*time.Minute, errors.New("maintenance until 10:30"))

	fmt.Println(breaker.Run(context.Background(), b, func(context.Context) error { return nil }))
	// Output: breaker "users" is open: maintenance until 10:30
}
