package grpcbelay_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func anyMethod(string) bool { return true }

var unavailable = status.Error(codes.Unavailable, "restarting")

// In turns returns one error after the other, and then nil.
func inTurns(errs ...error) func(context.Context) error {
	return func(context.Context) error {
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	}
}

func pushedBack(ms string, err error) func(context.Context) error {
	done := false
	return func(ctx context.Context) error {
		if done {
			return nil
		}
		done = true
		grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", ms))
		return err
	}
}

// What may be sent twice, and when.
func TestRetryUnary(t *testing.T) {
	for name, c := range map[string]struct {
		serve      func(context.Context) error
		idempotent func(string) bool
		want       codes.Code
		attempts   int64
		atLeast    time.Duration // waited
	}{
		"the first succeeds":              {inTurns(), nil, codes.OK, 1, 0},
		"not idempotent":                  {inTurns(unavailable), nil, codes.Unavailable, 1, 0},
		"idempotent":                      {inTurns(unavailable, unavailable), anyMethod, codes.OK, 3, 0},
		"exhausted":                       {inTurns(unavailable, unavailable, unavailable), anyMethod, codes.Unavailable, 3, 0},
		"another method is idempotent":    {inTurns(unavailable), func(m string) bool { return m == unaryCall }, codes.Unavailable, 1, 0},
		"invited":                         {inTurns(withRetryInfo(codes.Unavailable, time.Second)), nil, codes.OK, 2, time.Second},
		"invited at once":                 {inTurns(withRetryInfo(codes.ResourceExhausted, 0)), nil, codes.OK, 2, 0},
		"invited by a code that is final": {inTurns(withRetryInfo(codes.NotFound, time.Second)), anyMethod, codes.NotFound, 1, 0},
		"asked for too long":              {inTurns(withRetryInfo(codes.Unavailable, time.Hour)), anyMethod, codes.Unavailable, 1, 0},
		"pushed back":                     {pushedBack("1500", unavailable), nil, codes.OK, 2, 1500 * time.Millisecond},
		"pushed back for ever":            {pushedBack("-1", unavailable), anyMethod, codes.Unavailable, 1, 0},
		"pushed back in words":            {pushedBack("soon", unavailable), anyMethod, codes.Unavailable, 1, 0},
		"a limit":                         {inTurns(status.Error(codes.ResourceExhausted, "quota")), anyMethod, codes.OK, 2, 0},
		"a limit, not idempotent":         {inTurns(status.Error(codes.ResourceExhausted, "quota")), nil, codes.ResourceExhausted, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{empty: c.serve}
				client := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{Idempotent: c.idempotent}).Unary))
				start := time.Now()
				err := empty(t.Context(), client)
				if status.Code(err) != c.want || b.calls.Load() != c.attempts {
					t.Errorf("after %d attempts: %v", b.calls.Load(), err)
				}
				if d := time.Since(start); d < c.atLeast {
					t.Errorf("waited only %v", d)
				}
				if _, ok := errors.AsType[*retry.Error](err); ok != (c.want != codes.OK && (c.attempts > 1 || name == "asked for too long")) {
					t.Errorf("the error after %d attempts is a %T: %v", c.attempts, err, err)
				}
			})
		})
	}
}

// What the proto of a method says is enough.
func TestDeclaredIdempotent(t *testing.T) {
	// google.golang.org/grpc/interop/grpc_testing has no such method, and must not need
	// one: the option is read from whatever is registered.
	synctest.Test(t, func(t *testing.T) {
		register(t)
		calls := 0
		layer := &grpcbelay.Retry{}
		for method, want := range map[string]int{"/grpcbelay.test.Shop/Price": 3, "/grpcbelay.test.Shop/Cancel": 3, "/grpcbelay.test.Shop/Buy": 1, "/no.Such/Method": 1, "bad": 1} {
			calls = 0
			layer.Unary(t.Context(), method, nil, nil, nil, func(_ context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
				calls++
				for _, o := range opts {
					if p, ok := o.(grpc.PeerCallOption); ok {
						*p.PeerAddr = peer.Peer{Addr: address("a")} // it was sent
					}
				}
				return unavailable
			})
			if calls != want {
				t.Errorf("%s was called %d times, want %d", method, calls, want)
			}
		}
	})
}

type address string

func (address) Network() string  { return "test" }
func (a address) String() string { return string(a) }

// A call that has never left is made again, whatever its method does.
func TestRetryNeverLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(t, &backend{})
		l.Close()
		policy := retry.New(retry.Config{})
		c := grpc_testing.NewTestServiceClient(dial(t, l, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{Policy: policy}).Unary)))
		err := empty(t.Context(), c)
		if e, ok := errors.AsType[*retry.Error](err); !ok || e.Attempts != 3 || status.Code(err) != codes.Unavailable {
			t.Errorf("%v", err)
		}
	})
}

// A caller that leaves during a back-off has cancelled, and is told so.
func TestCancelDuringBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(context.Context) error { return withRetryInfo(codes.Unavailable, 10*time.Second) }}
		c := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{}).Unary))
		gone := errors.New("the user has closed the page")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		start := time.Now()
		err := empty(ctx, c)
		if status.Code(err) != codes.Canceled || !errors.Is(err, gone) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v, %v", time.Since(start), status.Code(err), err)
		}
		if e, ok := errors.AsType[*retry.Error](err); !ok || status.Code(e.Err) != codes.Unavailable {
			t.Errorf("the server's answer is lost: %v", err)
		}

		// A wait that cannot end before the deadline is none: the answer is the server's.
		err = empty(timeout(t, 5*time.Second), c)
		if s := status.Convert(err); s.Code() != codes.Unavailable || s.Message() != "in a moment" || !errors.Is(err, retry.ErrDeadline) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}

		// A deadline that the policy does not know of, as the context has none of its own.
		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(context.DeadlineExceeded) })
		if err := empty(ctx, c); status.Code(err) != codes.Canceled || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestContextEndedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		layer := &grpcbelay.Retry{}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary), grpc.WithChainStreamInterceptor(layer.Stream))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := empty(ctx, c); status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		gone := errors.New("the user has closed the page")
		ctx, cancelCause := context.WithCancelCause(t.Context())
		cancelCause(gone)
		if err := empty(ctx, c); status.Code(err) != codes.Canceled || !errors.Is(err, gone) {
			t.Errorf("cancelled with a cause: %v", err)
		}
		ctx, cancel = context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		if err := empty(ctx, c); status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("expired: %v", err)
		}
		if _, err := c.FullDuplexCall(ctx); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a stream: %v", err)
		}
	})
}

// A server that hangs costs an attempt, not the call.
func TestAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		b := &backend{empty: func(ctx context.Context) error {
			if first {
				first = false
				<-ctx.Done()
			}
			return ctx.Err()
		}}
		guard := breaker.New(breaker.Config{AllFailed: 1})
		c := client(t, b, grpc.WithChainUnaryInterceptor(
			(&grpcbelay.Retry{Idempotent: anyMethod, Config: retry.Config{AttemptTimeout: time.Second}}).Unary,
			(&grpcbelay.Breaker{Breaker: breaker.New(breaker.Config{})}).Unary))
		if err := empty(timeout(t, time.Minute), c); err != nil || b.calls.Load() != 2 {
			t.Errorf("after %d attempts: %v", b.calls.Load(), err)
		}

		first = true
		c = client(t, b, grpc.WithChainUnaryInterceptor(
			(&grpcbelay.Retry{Idempotent: anyMethod, Config: retry.Config{AttemptTimeout: time.Second}}).Unary,
			(&grpcbelay.Breaker{Breaker: guard}).Unary))
		err := empty(timeout(t, time.Minute), c)
		if !errors.Is(err, breaker.ErrOpen) || status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("an attempt's timeout is no failure for the breaker: %v", err)
		}
	})
}

// The other side of the wire, and everything that a caller can ask for, as without us.
func TestRetryIsTransparent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		b := &backend{}
		b.empty = func(ctx context.Context) error {
			md, _ := metadata.FromIncomingContext(ctx)
			seen = append(seen, append(md["grpc-previous-rpc-attempts"], md["user"]...)...)
			n := strconv.FormatInt(b.calls.Load(), 10)
			grpc.SetHeader(ctx, metadata.Pairs("n", n))
			grpc.SetTrailer(ctx, metadata.Pairs("n", n))
			if b.calls.Load() < 3 {
				return unavailable
			}
			return nil
		}
		c := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{Idempotent: anyMethod}).Unary))
		var header, trailer metadata.MD
		var from peer.Peer
		finished := 0
		err := empty(metadata.AppendToOutgoingContext(t.Context(), "user", "ada"), c,
			grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from), grpc.OnFinish(func(err error) {
				if finished++; err != nil {
					t.Errorf("told that the call ended with %v", err)
				}
			}))
		if err != nil || header.Get("n")[0] != "3" || trailer.Get("n")[0] != "3" || from.Addr == nil || finished != 1 {
			t.Errorf("%v, header %v, trailer %v, peer %v, told %d times", err, header, trailer, from, finished)
		}
		if want := []string{"ada", "1", "ada", "2", "ada"}; !slices.Equal(seen, want) {
			t.Errorf("the server has seen %v, want %v", seen, want)
		}
	})
}

// The options of a caller are his: nothing is written behind their end.
func TestOptionsAreNotChanged(t *testing.T) {
	opts := make([]grpc.CallOption, 1, 8)
	opts[0] = grpc.WaitForReady(true)
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	if err := (&grpcbelay.Retry{}).Unary(t.Context(), emptyCall, nil, nil, nil, invoke, opts...); err != nil {
		t.Fatal(err)
	}
	(&grpcbelay.Breaker{}).Stream(t.Context(), nil, nil, duplexCall, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, unavailable
	}, opts...)
	for i, o := range opts[1:cap(opts)] {
		if o != nil {
			t.Errorf("option %d is %T", i+1, o)
		}
	}
}

// A refusal is no outcome: it costs no attempt, and its cause is found.
func TestRetryAndRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		limiter := ratelimit.New(ratelimit.Config{Rate: 1, Queue: -1})
		c := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{}).Unary, (&grpcbelay.Limit{Limiter: limiter}).Unary))
		start := time.Now()
		for range 2 {
			if err := empty(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < time.Second || d > 2*time.Second {
			t.Errorf("two calls at one a second took %v", d)
		}
		err := empty(timeout(t, time.Millisecond), c)
		if status.Code(err) != codes.ResourceExhausted || !errors.Is(err, ratelimit.ErrLimited) {
			t.Errorf("%v: %v", status.Code(err), err)
		}
		if b.calls.Load() != 2 {
			t.Errorf("%d calls have arrived", b.calls.Load())
		}
	})
}

func TestRetryFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(context.Context) error { return unavailable }, output: func(*grpc_testing.StreamingOutputCallRequest, grpc_testing.TestService_StreamingOutputCallServer) error {
			return unavailable
		}}
		five := retry.New(retry.Config{MaxAttempts: 5})
		layer := &grpcbelay.Retry{Idempotent: anyMethod, For: func(_ context.Context, method string) *retry.Policy {
			if method == emptyCall {
				return five
			}
			return nil
		}}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary), grpc.WithChainStreamInterceptor(layer.Stream))
		empty(t.Context(), c)
		if n := b.calls.Swap(0); n != 5 {
			t.Errorf("%d attempts", n)
		}
		s, err := c.StreamingOutputCall(t.Context(), &grpc_testing.StreamingOutputCallRequest{})
		if err == nil {
			_, err = s.Recv()
		}
		if n := b.calls.Load(); n != 1 || status.Code(err) != codes.Unavailable {
			t.Errorf("%d attempts without a policy: %v", n, err)
		}
	})
}

func TestRetryClassify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(context.Context) error { return status.Error(codes.Aborted, "conflict") }}
		layer := &grpcbelay.Retry{Idempotent: anyMethod, Classify: func(_ context.Context, err error) retry.Decision {
			if status.Code(err) == codes.Aborted {
				return retry.Retry
			}
			return retry.Default
		}}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary))
		if err := empty(t.Context(), c); b.calls.Load() != 3 || status.Convert(err).Message() != "conflict" {
			t.Errorf("%d attempts: %v", b.calls.Load(), err)
		}
	})
}

// The retries of many authorities stay bounded, and each has a budget.
func TestPoliciesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		layer := &grpcbelay.Retry{}
		names := map[string]bool{}
		layer.Config.Observe = func(_ context.Context, e retry.Event) { names[e.Name] = true }
		for i := range 3000 {
			layer.Unary(t.Context(), emptyCall, nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				return nil
			}, grpc.CallAuthority(strconv.Itoa(i)))
		}
		if len(names) != 1025 {
			t.Errorf("%d policies for 3,000 authorities, want 1,024 and one more", len(names))
		}
	})
}
