package grpcbelay_test

import (
	"context"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// What the interceptors add to a call that does nothing.
func BenchmarkUnary(b *testing.B) {
	var reply grpc_testing.Empty
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	retries := &grpcbelay.Retry{Policy: retry.New(retry.Config{})}
	hedges := &grpcbelay.Retry{Policy: retry.New(retry.Config{}), Hedger: retry.NewHedger(retry.HedgeConfig{Inline: true}), Idempotent: anyMethod}
	breakers := &grpcbelay.Breaker{Breaker: breaker.New(breaker.Config{})}
	limits := &grpcbelay.Limit{Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 10})}
	for _, c := range []struct {
		name  string
		layer grpc.UnaryClientInterceptor
	}{{"retry", retries.Unary}, {"hedge", hedges.Unary}, {"breaker", breakers.Unary}, {"authority", (&grpcbelay.Breaker{}).Unary}, {"limit", limits.Unary}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.layer(b.Context(), emptyCall, &reply, &reply, nil, invoke); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A layer adds no allocation to a call that succeeds at once.
func TestAllocs(t *testing.T) {
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	breakers := &grpcbelay.Breaker{Breaker: breaker.New(breaker.Config{})}
	limits := &grpcbelay.Limit{Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 10})}
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	retries := &grpcbelay.Retry{Policy: retry.New(retry.Config{})}
	for name, layer := range map[string]grpc.UnaryClientInterceptor{"retry": retries.Unary, "breaker": breakers.Unary, "authority": (&grpcbelay.Breaker{}).Unary, "limit": limits.Unary} {
		most := 0.0
		if name == "retry" {
			most = 2 // there is a Balancer here, for which attempts remember where they were
		}
		if n := testing.AllocsPerRun(100, func() { layer(t.Context(), emptyCall, nil, nil, nil, invoke) }); n > most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A server that refuses, in the two places where it can.
func BenchmarkServerRefuses(b *testing.B) {
	refuse := &grpcbelay.Server{Take: func(context.Context, string) ratelimit.Decision { return ratelimit.Decision{} }}
	for _, c := range []struct {
		name string
		opt  grpc.ServerOption
	}{{"interceptor", grpc.ChainUnaryInterceptor(refuse.Unary)}, {"tap", grpc.InTapHandle(refuse.Tap)}} {
		b.Run(c.name, func(b *testing.B) {
			client := grpc_testing.NewTestServiceClient(dial(b, serve(b, &backend{}, c.opt)))
			b.ReportAllocs()
			for b.Loop() {
				if err := empty(b.Context(), client); status.Code(err) != codes.ResourceExhausted {
					b.Fatal(err)
				}
			}
		})
	}
}
