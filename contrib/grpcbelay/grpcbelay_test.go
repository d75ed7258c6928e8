package grpcbelay_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"
)

const (
	emptyCall  = "/grpc.testing.TestService/EmptyCall"
	unaryCall  = "/grpc.testing.TestService/UnaryCall"
	duplexCall = "/grpc.testing.TestService/FullDuplexCall"
	outputCall = "/grpc.testing.TestService/StreamingOutputCall"
	inputCall  = "/grpc.testing.TestService/StreamingInputCall"
)

// backend is a test service that does as it is told.
type backend struct {
	grpc_testing.UnimplementedTestServiceServer
	calls  atomic.Int64 // all that have arrived
	empty  func(context.Context) error
	now    atomic.Pointer[func(context.Context) error] // in place of empty
	unary  func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error)
	output func(*grpc_testing.StreamingOutputCallRequest, grpc_testing.TestService_StreamingOutputCallServer) error
	input  func(grpc_testing.TestService_StreamingInputCallServer) error
	duplex func(grpc_testing.TestService_FullDuplexCallServer) error
}

func (b *backend) EmptyCall(ctx context.Context, _ *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	b.calls.Add(1)
	if f := b.now.Load(); f != nil {
		return &grpc_testing.Empty{}, (*f)(ctx)
	}
	if b.empty == nil {
		return &grpc_testing.Empty{}, nil
	}
	return &grpc_testing.Empty{}, b.empty(ctx)
}

func (b *backend) UnaryCall(ctx context.Context, req *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	b.calls.Add(1)
	return b.unary(ctx, req)
}

func (b *backend) StreamingOutputCall(req *grpc_testing.StreamingOutputCallRequest, s grpc_testing.TestService_StreamingOutputCallServer) error {
	b.calls.Add(1)
	return b.output(req, s)
}

func (b *backend) StreamingInputCall(s grpc_testing.TestService_StreamingInputCallServer) error {
	b.calls.Add(1)
	return b.input(s)
}

func (b *backend) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	b.calls.Add(1)
	return b.duplex(s)
}

// set changes what EmptyCall does, while it is called.
func (b *backend) set(f func(context.Context) error) { b.now.Store(&f) }

// serve starts a server for b in memory.
func serve(tb testing.TB, b grpc_testing.TestServiceServer, opts ...grpc.ServerOption) *bufconn.Listener {
	tb.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(append(opts, grpc.WaitForHandlers(true))...)
	grpc_testing.RegisterTestServiceServer(s, b)
	go s.Serve(l)
	tb.Cleanup(s.Stop)
	return l
}

// dial connects to what listens at l.
func dial(tb testing.TB, l *bufconn.Listener, opts ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	cc, err := grpc.NewClient("passthrough:///orders", append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { cc.Close() })
	return cc
}

// a client of b with interceptors.
func client(tb testing.TB, b grpc_testing.TestServiceServer, opts ...grpc.DialOption) grpc_testing.TestServiceClient {
	tb.Helper()
	return grpc_testing.NewTestServiceClient(dial(tb, serve(tb, b), opts...))
}

func empty(ctx context.Context, c grpc_testing.TestServiceClient, opts ...grpc.CallOption) error {
	_, err := c.EmptyCall(ctx, &grpc_testing.Empty{}, opts...)
	return err
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
