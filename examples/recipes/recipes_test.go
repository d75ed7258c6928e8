package recipes

import (
	"context"
	"errors"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/retry"
)

var ctx = context.Background()

// what came of one call
type result struct {
	attempts int
	outcome  string
}

// judge runs op under a policy and under a breaker.
func judge(t *testing.T, decide func(context.Context, error) retry.Decision, judge func(context.Context, error) breaker.Outcome, op func(context.Context) error) (r result) {
	t.Helper()
	policy := retry.New(retry.Config{Schedule: retry.Constant(0), Classify: decide})
	first := errors.New("not called")
	retry.Run(ctx, policy, func(ctx context.Context) error {
		err := op(ctx)
		if r.attempts++; r.attempts == 1 {
			first = err
		}
		return err
	})
	b := breaker.New(breaker.Config{Classify: judge})
	err := breaker.Run(ctx, b, op)
	t.Logf("first attempt: %v; under a breaker: %v", first, err)
	switch w := b.Stats().Window; {
	case w.Failed == 1:
		r.outcome = "failure"
	case w.Calls == 1:
		r.outcome = "success"
	default:
		r.outcome = "ignored"
	}
	return r
}

var (
	fine   = result{1, "success"}
	answer = result{1, "success"} // an error that is one
	ours   = result{1, "ignored"}
	theirs = result{3, "failure"}
)
