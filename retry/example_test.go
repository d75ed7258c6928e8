package retry_test

import (
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

	"github.com/belay-go/belay/retry"
	"github.com/cenkalti/backoff/v4"
)

var errBusy = errors.New("busy")

// flaky fails twice, then answers.
func flaky() func(context.Context, string) (string, error) {
	calls := 0
	return func(_ context.Context, name string) (string, error) {
		if calls++; calls < 3 {
			return "", errBusy
		}
		return "hello, " + name, nil
	}
}

func ExampleDo() {
	greet := flaky()
	policy := retry.New(retry.Config{
		Schedule: retry.Exponential(time.Microsecond, time.Millisecond, retry.FullJitter),
	})

	s, err := retry.Do(context.Background(), policy, func(ctx context.Context) (string, error) {
		return greet(ctx, "gopher")
	})
	fmt.Println(s, err)
	// Output: hello, gopher <nil>
}

func ExampleRun() {
	policy := retry.New(retry.Config{Schedule: retry.Constant(time.Microsecond)})

	err := retry.Run(context.Background(), policy, func(context.Context) error {
		return errBusy
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, errBusy), errors.Is(err, retry.ErrExhausted))
	// Output:
	// retry: gave up after 3 attempts: busy
	// true true
}

func ExampleWrap() {
	policy := retry.New(retry.Config{Schedule: retry.Constant(time.Microsecond)})
	greet := retry.Wrap(policy, flaky())

	fmt.Println(greet(context.Background(), "gopher"))
	// Output: hello, gopher <nil>
}

func ExamplePermanent() {
	errNotFound := errors.New("not found")
	attempts := 0

	err := retry.Run(context.Background(), retry.New(retry.Config{}), func(context.Context) error {
		attempts++
		return retry.Permanent(errNotFound)
	})
	fmt.Println(attempts, err == errNotFound)
	// Output: 1 true
}

func ExampleAfter() {
	policy := retry.New(retry.Config{Schedule: retry.Constant(0)})

	err := retry.Run(context.Background(), policy, func(ctx context.Context) error {
		if _, again := retry.AttemptFrom(ctx); again {
			return nil
		}
		return retry.After(time.Millisecond, errBusy) // no sooner than that
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleAttemptFrom() {
	policy := retry.New(retry.Config{Schedule: retry.Constant(0)})

	retry.Run(context.Background(), policy, func(ctx context.Context) error {
		attempt, again := retry.AttemptFrom(ctx)
		fmt.Println(again, attempt.Number)
		return errBusy
	})
	// Output:
	// false 0
	// true 2
	// true 3
}

// Any schedule of package backoff will do.
func ExampleConfig_schedule() {
	policy := retry.New(retry.Config{
		Schedule: func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Microsecond), 1)
		},
	})

	fmt.Println(retry.Run(context.Background(), policy, func(context.Context) error { return errBusy }))
	// Output: retry: gave up after 2 attempts: busy
}

// Policies that call the same backend can share a budget.
func ExampleNewBudget() {
	budget := retry.NewBudget(retry.BudgetConfig{Credit: 1, Floor: -1})
	reads := retry.New(retry.Config{Budget: budget, Schedule: retry.Constant(0)})
	writes := retry.New(retry.Config{Budget: budget, Schedule: retry.Constant(0)})

	down := func(context.Context) error { return errBusy }
	fmt.Println(retry.Run(context.Background(), reads, down))
	fmt.Println(retry.Run(context.Background(), writes, down))
	fmt.Println(budget.Stats().Granted, "granted,", budget.Stats().Refused, "refused")
	// Output:
	// retry: gave up after 2 attempts: busy (retry: client-side retry budget is empty)
	// retry: gave up after 1 attempt: busy (retry: client-side retry budget is empty)
	// 1 granted, 2 refused
}

func ExampleTransport() {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()

	client := &http.Client{Transport: &retry.Transport{}}
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, "after", requests, "requests")
	// Output: 200 OK after 3 requests
}

// Each host has a policy of its own, with counters, and a budget of its own.
func ExampleTransport_All() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()

	transport := &retry.Transport{Config: retry.Config{Schedule: retry.Constant(0)}}
	client := &http.Client{Transport: transport}
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	for host, policy := range transport.All() {
		s, left := policy.Stats(), policy.Budget().Stats().Balance
		fmt.Println(host == server.Listener.Addr().String(), s.Retries, "retries,", s.GaveUp, "given up,", left, "left in the budget")
	}
	// Output: true 2 retries, 1 given up, 8 left in the budget
}

// A loop serves code that does not fit into a function.
func ExampleAttempts() {
	policy := retry.New(retry.Config{Schedule: retry.Constant(time.Microsecond)})
	greet := flaky()

	var s string
	var err error
	for ctx := range retry.Attempts(context.Background(), policy, &err) {
		s, err = greet(ctx, "gopher")
		fmt.Println(err)
	}
	fmt.Println(s, err)
	// Output:
	// busy
	// busy
	// <nil>
	// hello, gopher <nil>
}

// A read that is slow now and then is begun a second time. Hedges and retries call
// the same backend, so they share a budget.
func ExampleHedge() {
	budget := retry.NewBudget(retry.BudgetConfig{})
	writes := retry.New(retry.Config{Budget: budget})
	reads := retry.NewHedger(retry.HedgeConfig{Delay: time.Millisecond, Budget: budget})

	err := retry.Run(context.Background(), writes, func(context.Context) error { return nil })
	fmt.Println("write:", err)

	s, err := retry.Hedge(context.Background(), reads, func(ctx context.Context) (string, error) {
		if _, again := retry.AttemptFrom(ctx); !again {
			<-ctx.Done() // a replica that is stuck
			return "", ctx.Err()
		}
		return "fresh", nil
	}, nil)
	fmt.Println("read:", s, err)
	fmt.Println(budget.Stats().Granted, "granted")
	// Output:
	// write: <nil>
	// read: fresh <nil>
	// 1 granted
}

// Several attempts may open something; what the caller does not get is closed.
func ExampleHedge_discard() {
	hedger := retry.NewHedger(retry.HedgeConfig{}) // slower than 95 % of the calls before

	file, err := retry.Hedge(context.Background(), hedger, func(context.Context) (*os.File, error) {
		return os.Open(os.DevNull)
	}, func(f *os.File) { f.Close() })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	fmt.Println("open")
	// Output: open
}

// db stands for a database whose transactions conflict now and then.
type db struct{ conflicts int }

var errConflict = errors.New("could not serialize access")

func (d *db) transfer(context.Context, int) error {
	if d.conflicts--; d.conflicts >= 0 {
		return errConflict
	}
	return nil
}

// A transaction is retried as a whole, from its first read on, and for conflicts
// only: any other error may mean that it was committed.
func ExampleConfig_classify() {
	accounts := &db{conflicts: 2}
	policy := retry.New(retry.Config{
		Schedule: retry.Exponential(time.Microsecond, time.Millisecond, retry.EqualJitter),
		Classify: func(_ context.Context, err error) retry.Decision {
			if errors.Is(err, errConflict) {
				return retry.Retry
			}
			return retry.Stop
		},
	})

	err := retry.Run(context.Background(), policy, func(ctx context.Context) error {
		return accounts.transfer(ctx, 100) // begins, reads, writes and commits
	})
	fmt.Println(err)
	// Output: <nil>
}

// Any error is retried by default. A missing row, a violated constraint and whatever
// else comes again the next time is final.
func ExampleConfig_classify_sql() {
	policy := retry.New(retry.Config{
		Classify: func(_ context.Context, err error) retry.Decision {
			if errors.Is(err, sql.ErrNoRows) {
				return retry.Stop
			}
			return retry.Default
		},
	})

	queries := 0
	name, err := retry.Do(context.Background(), policy, func(ctx context.Context) (name string, err error) {
		queries++
		return name, sql.ErrNoRows // db.QueryRowContext(ctx, "SELECT ...").Scan(&name)
	})
	fmt.Printf("%q, %v after %d query\n", name, err, queries)
	// Output: "", sql: no rows in result set after 1 query
}

// The context tells which attempt it was: of a timeout one retry is enough.
func ExampleConfig_classify_attempt() {
	policy := retry.New(retry.Config{
		MaxAttempts: 10,
		Schedule:    retry.Constant(time.Microsecond),
		Classify: func(ctx context.Context, err error) retry.Decision {
			if _, again := retry.AttemptFrom(ctx); again && errors.Is(err, os.ErrDeadlineExceeded) {
				return retry.Stop
			}
			return retry.Default
		},
	})

	err := retry.Run(context.Background(), policy, func(context.Context) error { return os.ErrDeadlineExceeded })
	fmt.Println(err)
	// Output: retry: gave up after 2 attempts: i/o timeout
}

func ExampleConfig_observe() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "elapsed" {
				return slog.Attr{}
			}
			return a
		},
	}))
	greet := flaky()
	policy := retry.New(retry.Config{
		Name:     "greeter",
		Schedule: retry.Constant(time.Microsecond),
		Observe: func(ctx context.Context, e retry.Event) {
			if e.Kind != retry.Succeeded || e.Attempt > 1 {
				log.InfoContext(ctx, "retry", "event", e)
			}
		},
	})

	retry.Do(context.Background(), policy, func(ctx context.Context) (string, error) {
		return greet(ctx, "gopher")
	})
	fmt.Println("recovered:", policy.Stats().Recovered)
	// Output:
	// level=INFO msg=retry event.kind=retrying event.name=greeter event.attempt=1 event.delay=1µs event.err=busy
	// level=INFO msg=retry event.kind=retrying event.name=greeter event.attempt=2 event.delay=1µs event.err=busy
	// level=INFO msg=retry event.kind=succeeded event.name=greeter event.attempt=3
	// recovered: 1
}

// One function serves responses and errors: in place of a response that did not come
// there is one without status and header.
func ExampleTransport_classify() {
	answers := []int{500, 200}
	client := &http.Client{Transport: &retry.Transport{
		Config: retry.Config{Schedule: retry.Constant(time.Microsecond)},
		Classify: func(resp *http.Response, err error) retry.Decision {
			if resp.StatusCode == http.StatusInternalServerError {
				return retry.Retry
			}
			return retry.Default
		},
		Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: answers[0], Body: http.NoBody}
			answers = answers[1:]
			return resp, nil
		}),
	}}

	resp, err := client.Get("http://users.test/7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 200
}

// A policy as it stands in a file.
func ExampleConfig_Validate() {
	var file struct {
		Attempts int
		Timeout  string
	}
	if err := json.Unmarshal([]byte(`{"Attempts": -1, "Timeout": "2s"}`), &file); err != nil {
		fmt.Println(err)
		return
	}
	timeout, err := time.ParseDuration(file.Timeout)
	cfg := retry.Config{MaxAttempts: file.Attempts, AttemptTimeout: timeout}
	fmt.Println(errors.Join(err, cfg.Validate()))
	// Output: retry: Config.MaxAttempts is -1, want 1 or more, or 0 for the default
}
