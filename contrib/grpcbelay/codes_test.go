package grpcbelay_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// says is what one code comes to in all packages.
type says struct {
	breaker  breaker.Outcome
	attempts int
	balancer loadbalance.Outcome
	limit    ratelimit.Outcome
}

var (
	answer = says{breaker.Success, 1, loadbalance.Success, ratelimit.Success}
	broken = says{breaker.Failure, 1, loadbalance.Failure, ratelimit.Failure}
	outage = says{breaker.Failure, 3, loadbalance.Failure, ratelimit.Failure}
	limit  = says{breaker.Ignored, 3, loadbalance.Ignored, ratelimit.Overload}
)

var table = map[codes.Code]says{
	codes.OK:                 answer,
	codes.Canceled:           broken,
	codes.Unknown:            broken,
	codes.InvalidArgument:    answer,
	codes.DeadlineExceeded:   outage,
	codes.NotFound:           answer,
	codes.AlreadyExists:      answer,
	codes.PermissionDenied:   answer,
	codes.ResourceExhausted:  limit,
	codes.FailedPrecondition: answer,
	codes.Aborted:            answer,
	codes.OutOfRange:         answer,
	codes.Unimplemented:      answer,
	codes.Internal:           broken,
	codes.Unavailable:        outage,
	codes.DataLoss:           broken,
	codes.Unauthenticated:    answer,
}

// The table holds for what a server really sends, with the interceptors and with the
// functions alone.
func TestCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var code codes.Code
		b := &backend{empty: func(context.Context) error { return status.Error(code, "as told") }}
		c := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{
			Idempotent: func(string) bool { return true },
			Config:     retry.Config{Budget: retry.NoBudget},
		}).Unary))
		guard := breaker.New(breaker.Config{Classify: grpcbelay.BreakerOutcome})
		peers := loadbalance.New(loadbalance.Static(loadbalance.Endpoint[int]{Key: "a"}), loadbalance.Config{Classify: grpcbelay.BalancerOutcome})
		for code = range codes.Unauthenticated + 1 {
			before := b.calls.Load()
			err := empty(t.Context(), c)
			if got := status.Convert(err); got.Code() != code || err != nil && got.Message() != "as told" {
				t.Errorf("%v came back as %v", code, got)
			}
			plain := status.Error(code, "as told")
			var permit ratelimit.Permit
			got := says{guard.Outcome(t.Context(), plain), int(b.calls.Load() - before), peers.Outcome(t.Context(), plain), grpcbelay.LimitOutcome(t.Context(), plain)}
			if got.limit == ratelimit.Default {
				got.limit = permit.Outcome(t.Context(), plain)
			}
			if got != table[code] {
				t.Errorf("%v: %v, want %v", code, got, table[code])
			}
			again := grpcbelay.RetryDecision(t.Context(), plain) == retry.Default
			if want := table[code].attempts > 1 || code == codes.OK; again != want {
				t.Errorf("RetryDecision(%v) leaves it to the rules: %v, want %v", code, again, want)
			}
		}
	})
}

// What is no status is left to the rules.
func TestCodesOfOtherErrors(t *testing.T) {
	for _, err := range []error{nil, context.Canceled, breaker.ErrOpen} {
		ctx := t.Context()
		if o := grpcbelay.BreakerOutcome(ctx, err); o != breaker.Default {
			t.Errorf("breaker, %v: %v", err, o)
		}
		if o := grpcbelay.BalancerOutcome(ctx, err); o != loadbalance.Default {
			t.Errorf("loadbalance, %v: %v", err, o)
		}
		if o := grpcbelay.LimitOutcome(ctx, err); o != ratelimit.Default {
			t.Errorf("ratelimit, %v: %v", err, o)
		}
		if d := grpcbelay.RetryDecision(ctx, err); d != retry.Default {
			t.Errorf("retry, %v: %v", err, d)
		}
	}
}

func withRetryInfo(code codes.Code, after time.Duration) error {
	s, err := status.New(code, "in a moment").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{nil, 0},
		{context.Canceled, 0},
		{status.Error(codes.Unavailable, ""), 0},
		{withRetryInfo(codes.Unavailable, 2*time.Second), 2 * time.Second},
		{withRetryInfo(codes.Unavailable, -time.Second), 0},
		{withRetryInfo(codes.NotFound, time.Second), time.Second},
	} {
		if got := grpcbelay.RetryAfter(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	err := withRetryInfo(codes.Unavailable, time.Second)
	if o := grpcbelay.BalancerOutcome(t.Context(), err); o != loadbalance.Overload {
		t.Errorf("Unavailable with a RetryInfo is %v for a balancer", o)
	}
}

// What the caller cannot send says nothing about the server, and is sent once.
func TestOwnFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		guard := breaker.New(breaker.Config{})
		c := client(t, b, grpc.WithChainUnaryInterceptor(
			(&grpcbelay.Retry{Idempotent: func(string) bool { return true }}).Unary,
			(&grpcbelay.Breaker{Breaker: guard}).Unary))
		for range 10 {
			err := empty(t.Context(), c, grpc.MaxCallSendMsgSize(-1))
			if status.Code(err) != codes.ResourceExhausted {
				t.Fatalf("a message that is too large: %v", err)
			}
		}
		if s := guard.Stats(); s.Window.Failed > 0 || s.State != breaker.Closed {
			t.Errorf("the breaker has counted it: %+v", s.Window)
		}
		if n := b.calls.Load(); n > 0 {
			t.Errorf("%d calls have arrived", n)
		}
	})
}
