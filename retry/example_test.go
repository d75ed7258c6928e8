package retry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	// retry: gave up after attempt 3: busy
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
	// Output: retry: gave up after attempt 2: busy
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
	// retry: gave up after attempt 2: busy (retry: client-side retry budget is empty)
	// retry: gave up after attempt 1: busy (retry: client-side retry budget is empty)
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
