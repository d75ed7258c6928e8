// Package grpc_test measures what the interceptors of belay and its peers add to a call.
package grpc_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/retry"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafegrpc"
	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

type service struct {
	grpc_testing.UnimplementedTestServiceServer
	calls  atomic.Int64
	broken atomic.Int64 // calls that fail
}

func (s *service) EmptyCall(context.Context, *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	s.calls.Add(1)
	if s.broken.Add(-1) >= 0 {
		return nil, status.Error(codes.Unavailable, "")
	}
	return &grpc_testing.Empty{}, nil
}

// connect starts a server in memory, and connects to it with interceptors.
func connect(b *testing.B, layers ...grpc.UnaryClientInterceptor) (*service, grpc_testing.TestServiceClient) {
	b.Helper()
	l, s, impl := bufconn.Listen(1<<20), grpc.NewServer(), &service{}
	grpc_testing.RegisterTestServiceServer(s, impl)
	go s.Serve(l)
	b.Cleanup(s.Stop)
	cc, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithChainUnaryInterceptor(layers...),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cc.Close() })
	return impl, grpc_testing.NewTestServiceClient(cc)
}

func belayRetry() grpc.UnaryClientInterceptor {
	return (&grpcbelay.Retry{Policy: retry.New(retry.Config{}), Idempotent: func(string) bool { return true }}).Unary
}

func failsafeRetry() grpc.UnaryClientInterceptor {
	return failsafegrpc.NewUnaryClientInterceptor(failsafe.Policy[any](failsafegrpc.NewRetryPolicyBuilder[any]().Build()))
}

func middlewareRetry() grpc.UnaryClientInterceptor {
	return middleware.UnaryClientInterceptor(middleware.WithMax(3), middleware.WithCodes(codes.Unavailable))
}

func failsafeBreaker() grpc.UnaryClientInterceptor {
	return failsafegrpc.NewUnaryClientInterceptor(failsafe.Policy[any](circuitbreaker.NewWithDefaults[any]()))
}

// mustRetry checks that a layer makes a call again that has failed.
func mustRetry(b *testing.B, layer grpc.UnaryClientInterceptor) {
	b.Helper()
	impl, c := connect(b, layer)
	impl.broken.Store(1)
	if _, err := c.EmptyCall(b.Context(), &grpc_testing.Empty{}); err != nil || impl.calls.Load() != 2 {
		b.Fatalf("after %d attempts: %v", impl.calls.Load(), err)
	}
}

// mustBreak checks that a layer opens.
func mustBreak(b *testing.B, layer grpc.UnaryClientInterceptor) {
	b.Helper()
	impl, c := connect(b, layer)
	impl.broken.Store(1000)
	for range 100 {
		c.EmptyCall(b.Context(), &grpc_testing.Empty{})
	}
	if n := impl.calls.Load(); n == 100 {
		b.Fatal("it has not opened")
	}
}

func invoke(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
	return nil
}

// alone measures a layer around a call that does nothing.
func alone(b *testing.B, layer grpc.UnaryClientInterceptor) {
	_, c := connect(b)
	var cc *grpc.ClientConn
	_ = c
	var req, reply grpc_testing.Empty
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := layer(ctx, "/grpc.testing.TestService/EmptyCall", &req, &reply, cc, invoke); err != nil {
			b.Fatal(err)
		}
	}
}

// call measures a call to a server in memory.
func call(b *testing.B, layers ...grpc.UnaryClientInterceptor) {
	_, c := connect(b, layers...)
	ctx := b.Context()
	if _, err := c.EmptyCall(ctx, &grpc_testing.Empty{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.EmptyCall(ctx, &grpc_testing.Empty{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGRPC(b *testing.B) {
	retries := map[string]func() grpc.UnaryClientInterceptor{"belay": belayRetry, "failsafegrpc": failsafeRetry, "middleware": middlewareRetry}
	for _, name := range []string{"belay", "failsafegrpc", "middleware"} {
		b.Run("retry/"+name, func(b *testing.B) {
			mustRetry(b, retries[name]())
			alone(b, retries[name]())
		})
	}
	b.Run("breaker/belay", func(b *testing.B) {
		mustBreak(b, (&grpcbelay.Breaker{}).Unary)
		alone(b, (&grpcbelay.Breaker{}).Unary)
	})
	b.Run("breaker/failsafegrpc", func(b *testing.B) {
		mustBreak(b, failsafeBreaker())
		alone(b, failsafeBreaker())
	})
	b.Run("call/floor", func(b *testing.B) { call(b) })
	for _, name := range []string{"belay", "failsafegrpc", "middleware"} {
		b.Run("call/"+name, func(b *testing.B) { call(b, retries[name]()) })
	}
}
