package grpcbelay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// listen starts a server for the examples.
func listen(b *backend, opts ...grpc.ServerOption) (target string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	grpc_testing.RegisterTestServiceServer(s, b)
	go s.Serve(l)
	return l.Addr().String(), s.Stop
}

// A client with the whole stack.
func Example() {
	server := &backend{empty: inTurns(status.Error(codes.Unavailable, "restarting"))}
	target, stop := listen(server)
	defer stop()

	retries := &grpcbelay.Retry{Idempotent: func(method string) bool { return strings.HasPrefix(path.Base(method), "Empty") }}
	breakers := &grpcbelay.Breaker{}
	limits := &grpcbelay.Limit{Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 50})}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(retries.Unary, breakers.Unary, limits.Unary),
		grpc.WithChainStreamInterceptor(retries.Stream, breakers.Stream, limits.Stream),
		grpc.WithDisableRetry())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	_, err = grpc_testing.NewTestServiceClient(conn).EmptyCall(context.Background(), &grpc_testing.Empty{})
	fmt.Println(status.Code(err), "after", server.calls.Load(), "attempts")
	// Output: OK after 2 attempts
}

// A stream in both directions is begun anew as long as nothing has come back, and holds
// its place until it ends.
func Example_bidirectionalStream() {
	server := &backend{duplex: failing(1)}
	target, stop := listen(server)
	defer stop()

	places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 50})
	retries := &grpcbelay.Retry{Idempotent: func(string) bool { return true }}
	limits := &grpcbelay.Limit{Concurrency: places}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainStreamInterceptor(retries.Stream, limits.Stream))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	chat, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, word := range []string{"is", "anybody", "there?"} {
		if err := chat.Send(message(word)); err != nil {
			log.Fatal(err)
		}
	}
	chat.CloseSend()
	for {
		m, err := chat.Recv()
		if err == io.EOF {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(m.Payload.Body), places.Stats().InUse)
	}
	fmt.Println("places held:", places.Stats().InUse)
	// Output:
	// is 1
	// anybody 1
	// there? 1
	// places held: 0
}

// A breaker for each service of a connection.
func ExampleBreaker() {
	services := breaker.NewSet(breaker.SetConfig[string]{Config: func(service string) breaker.Config {
		return breaker.Config{Name: service, AllFailed: 1}
	}})
	breakers := &grpcbelay.Breaker{For: func(_ context.Context, method string) *breaker.Breaker {
		return services.Get(path.Dir(method))
	}}

	target, stop := listen(&backend{empty: func(context.Context) error { return status.Error(codes.Unavailable, "down") }})
	defer stop()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(breakers.Unary))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)
	for range 2 {
		_, err := client.EmptyCall(context.Background(), &grpc_testing.Empty{})
		fmt.Println(status.Code(err), errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// Unavailable false
	// Unavailable true
}

// A read that takes unusually long is begun a second time.
func ExampleRetry_hedging() {
	budget := retry.NewBudget(retry.BudgetConfig{})
	retries := &grpcbelay.Retry{
		Config:     retry.Config{Budget: budget},
		Hedger:     retry.NewHedger(retry.HedgeConfig{Budget: budget, Inline: true, Delay: 20 * time.Millisecond}),
		Idempotent: func(method string) bool { return method == grpc_testing.TestService_EmptyCall_FullMethodName },
	}
	var hung atomic.Bool
	target, stop := listen(&backend{empty: func(ctx context.Context) error {
		if hung.CompareAndSwap(false, true) {
			<-ctx.Done()
		}
		return nil
	}})
	defer stop()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(retries.Unary))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	_, err = grpc_testing.NewTestServiceClient(conn).EmptyCall(context.Background(), &grpc_testing.Empty{})
	fmt.Println(status.Code(err), retries.Hedger.Stats().Wins)
	// Output: OK 1
}

// Limits that depend on the method.
func ExampleLimit() {
	exports := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Name: "exports", Limit: 1, Queue: -1})
	limits := &grpcbelay.Limit{
		Limiter: ratelimit.New(ratelimit.Config{Rate: 100, Burst: 10}),
		For: func(_ context.Context, method string) ratelimit.Acquirer {
			if method == grpc_testing.TestService_StreamingOutputCall_FullMethodName {
				return exports
			}
			return nil
		},
	}
	target, stop := listen(&backend{output: func(_ *grpc_testing.StreamingOutputCallRequest, s grpc_testing.TestService_StreamingOutputCallServer) error {
		<-s.Context().Done()
		return nil
	}})
	defer stop()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(limits.Unary), grpc.WithChainStreamInterceptor(limits.Stream))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)
	for range 2 {
		_, err := client.StreamingOutputCall(context.Background(), &grpc_testing.StreamingOutputCallRequest{})
		fmt.Println(status.Code(err), errors.Is(err, ratelimit.ErrLimited))
	}
	// Output:
	// OK false
	// ResourceExhausted true
}

// A server that sheds load: so many calls a second from each client, and so many at once
// from all.
func ExampleServer() {
	clients := ratelimit.NewKeyed(ratelimit.KeyedConfig[netip.Addr]{Name: "clients", Rate: 10, Burst: 2})
	ip := grpcbelay.ClientIP()
	limits := &grpcbelay.Server{
		Take: func(ctx context.Context, _ string) ratelimit.Decision {
			return clients.Take(ip(ctx), 1)
		},
		Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 100}),
	}
	target, stop := listen(&backend{},
		grpc.ChainUnaryInterceptor(limits.Unary),
		grpc.ChainStreamInterceptor(limits.Stream))
	defer stop()

	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)
	for range 3 {
		_, err := client.EmptyCall(context.Background(), &grpc_testing.Empty{})
		fmt.Println(status.Code(err), grpcbelay.RetryAfter(err) > 0)
	}
	// Output:
	// OK false
	// OK false
	// ResourceExhausted true
}

func ExampleServer_Tap() {
	all := ratelimit.New(ratelimit.Config{Rate: 1000, Burst: 100})
	early := &grpcbelay.Server{Take: func(context.Context, string) ratelimit.Decision { return all.Take(1) }}
	late := &grpcbelay.Server{Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 100})}
	s := grpc.NewServer(
		grpc.InTapHandle(early.Tap),
		grpc.ChainUnaryInterceptor(late.Unary),
		grpc.ChainStreamInterceptor(late.Stream))
	s.Stop()
}

func ExampleClientIP() {
	ip := grpcbelay.ClientIP(netip.MustParsePrefix("10.0.0.0/8")) // our proxies
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 5000}})
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("x-forwarded-for", "192.0.2.7"))
	fmt.Println(ip(ctx))
	// Output: 192.0.2.7
}

// Calls go to the server that will answer best. Register is called in an init.
func ExampleNewBalancer() {
	policy := grpcbelay.NewBalancer("best", loadbalance.Config{})
	balancer.Register(policy)

	servers := []*backend{{}, {}}
	servers[1].empty = func(context.Context) error { return status.Error(codes.Internal, "broken") }
	var state resolver.State
	for _, s := range servers {
		target, stop := listen(s)
		defer stop()
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: target}}})
	}
	dns := manual.NewBuilderWithScheme("example") // any resolver: dns:/// is the usual one
	dns.InitialState(state)
	conn, err := grpc.NewClient("example:///orders", grpc.WithResolvers(dns),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"best": {}}]}`))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)
	for servers[0].calls.Load() == 0 || servers[1].calls.Load() == 0 { // both are connected
		client.EmptyCall(context.Background(), &grpc_testing.Empty{}, grpc.WaitForReady(true))
	}
	failed := 0
	for range 100 {
		if _, err := client.EmptyCall(context.Background(), &grpc_testing.Empty{}); err != nil {
			failed++
		}
	}
	fmt.Println(failed < 10, len(policy.Stats()[0].Endpoints))
	// Output: true 2
}

// A handler returns what its own client refuses, wrapped or not, and says when to come
// back.
func ExampleStatus() {
	down := breaker.New(breaker.Config{Name: "payments"})
	down.Trip(10*time.Second, nil)
	err := breaker.Run(context.Background(), down, func(context.Context) error { return nil })

	s := grpcbelay.Status(fmt.Errorf("charging the card: %w", err))
	fmt.Println(s.Code(), grpcbelay.RetryAfter(s.Err()).Round(time.Second) > 0)
	// Output: Unavailable true
}

// The codes for calls that are made with Do.
func ExampleBreakerOutcome() {
	guard := breaker.New(breaker.Config{Classify: grpcbelay.BreakerOutcome})
	err := breaker.Run(context.Background(), guard, func(context.Context) error {
		return status.Error(codes.NotFound, "no such order")
	})
	fmt.Println(status.Code(err), guard.Stats().Window.Failed)
	// Output: NotFound 0
}

func ExampleRetryDecision() {
	policy := retry.New(retry.Config{Classify: grpcbelay.RetryDecision})
	calls := 0
	err := retry.Run(context.Background(), policy, func(context.Context) error {
		calls++
		return status.Error(codes.NotFound, "no such order")
	})
	fmt.Println(status.Code(err), calls)
	// Output: NotFound 1
}

func ExampleBalancerOutcome() {
	replicas := loadbalance.New(loadbalance.Static(loadbalance.Endpoint[string]{Key: "a"}), loadbalance.Config{
		Classify: grpcbelay.BalancerOutcome,
	})
	ctx := context.Background()
	fmt.Println(replicas.Outcome(ctx, status.Error(codes.NotFound, "no such order")))
	fmt.Println(replicas.Outcome(ctx, status.Error(codes.Internal, "panic")))
	// Output:
	// success
	// failure
}

func ExampleLimitOutcome() {
	ctx := context.Background()
	fmt.Println(grpcbelay.LimitOutcome(ctx, status.Error(codes.ResourceExhausted, "too many requests")))
	// Output: overload
}

func ExampleRetryAfter() {
	s, err := status.New(codes.Unavailable, "restarting").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(grpcbelay.RetryAfter(s.Err()))
	// Output: 3s
}
