package grpcbelay_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		run := func(context.Context) error { return nil }

		down := breaker.New(breaker.Config{})
		down.Trip(10*time.Second, status.Error(codes.NotFound, "a cause of its own"))
		open := breaker.Run(ctx, down, run)
		limiter := ratelimit.New(ratelimit.Config{Rate: 0.5, Queue: -1})
		limiter.Allow()
		full := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1, Queue: -1})
		full.Allow()
		_, nowhere := loadbalance.New(loadbalance.Static[int](), loadbalance.Config{}).Pick(ctx)
		waited := ratelimit.New(ratelimit.Config{Rate: 0.5})
		waited.Allow()
		after := retry.Run(ctx, retry.New(retry.Config{Schedule: retry.Constant(0)}), func(context.Context) error { return unavailable })

		for name, c := range map[string]struct {
			err   error
			code  codes.Code
			after time.Duration
		}{
			"nil":                 {nil, codes.OK, 0},
			"a status":            {withRetryInfo(codes.NotFound, time.Second), codes.NotFound, time.Second},
			"a status, wrapped":   {fmt.Errorf("more: %w", withRetryInfo(codes.Unavailable, time.Second)), codes.Unavailable, time.Second},
			"a breaker":           {open, codes.Unavailable, 10 * time.Second},
			"a breaker, wrapped":  {fmt.Errorf("more: %w", open), codes.Unavailable, 10 * time.Second},
			"a rate":              {limiter.Wait(ctx), codes.ResourceExhausted, 2 * time.Second},
			"a place":             {ratelimit.Run(ctx, full, run), codes.ResourceExhausted, 0},
			"a wait, cancelled":   {waited.Wait(cancelled), codes.Canceled, 0},
			"no endpoint":         {nowhere, codes.Unavailable, 0},
			"retries":             {after, codes.Unavailable, 0},
			"a context":           {context.DeadlineExceeded, codes.DeadlineExceeded, 0},
			"a context, wrapped":  {fmt.Errorf("more: %w", context.Canceled), codes.Canceled, 0},
			"anything else":       {errors.New("anything"), codes.Unknown, 0},
			"many, one a refusal": {errors.Join(errors.New("anything"), open), codes.Unavailable, 10 * time.Second},
		} {
			s := grpcbelay.Status(c.err)
			if got := grpcbelay.RetryAfter(s.Err()); s.Code() != c.code || got > c.after || got < c.after*7/10 {
				t.Errorf("%s: %v, %v, want %v, %v", name, s, got, c.code, c.after)
			}
		}
	})
}

// A handler that passes on what its own client refuses has said what is needed.
func TestRefusalOverTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := breaker.New(breaker.Config{})
		down.Trip(10*time.Second, nil)
		inner := client(t, &backend{}, grpc.WithChainUnaryInterceptor((&grpcbelay.Breaker{Breaker: down}).Unary))
		for _, format := range []string{"%w", "charging the card: %w"} {
			outer := client(t, &backend{unary: func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				return nil, fmt.Errorf(format, empty(ctx, inner))
			}})
			_, err := outer.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{})
			if status.Code(err) != codes.Unavailable || grpcbelay.RetryAfter(err) <= 5*time.Second {
				t.Errorf("%v, %v", err, grpcbelay.RetryAfter(err))
			}
		}
	})
}
