package grpcbelay_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/ratelimit"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// limited starts a server with a layer, and connects to it.
func limited(t *testing.T, b *backend, opts ...grpc.ServerOption) *grpc.ClientConn {
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(append(opts, grpc.WaitForHandlers(true))...)
	grpc_testing.RegisterTestServiceServer(s, b)
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return dial(t, l)
}

func intercepted(s *grpcbelay.Server) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(s.Unary), grpc.ChainStreamInterceptor(s.Stream)}
}

func TestServerTake(t *testing.T) {
	limiter := func() *grpcbelay.Server {
		l := ratelimit.New(ratelimit.Config{Name: "shop", Rate: 0.1})
		return &grpcbelay.Server{Take: func(context.Context, string) ratelimit.Decision { return l.Take(1) }}
	}
	for name, opts := range map[string]func() []grpc.ServerOption{
		"interceptor": func() []grpc.ServerOption { return intercepted(limiter()) },
		"tap":         func() []grpc.ServerOption { return []grpc.ServerOption{grpc.InTapHandle(limiter().Tap)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{duplex: echo}
				conn := limited(t, b, opts()...)
				c := grpc_testing.NewTestServiceClient(conn)
				if err := empty(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				var trailer metadata.MD
				err := empty(t.Context(), c, grpc.Trailer(&trailer))
				if s := status.Convert(err); s.Code() != codes.ResourceExhausted || !strings.Contains(s.Message(), "shop") {
					t.Errorf("%v", err)
				}
				if name == "interceptor" {
					if d := grpcbelay.RetryAfter(err); d <= 9*time.Second || d > 10*time.Second {
						t.Errorf("to come back in %v", d)
					}
					if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || len(got[0]) > 5 {
						t.Errorf("pushback %v", got)
					}
				}
				if _, err := talk(t, c, "a"); status.Code(err) != codes.ResourceExhausted {
					t.Errorf("a stream: %v", err)
				}
				for range 5 {
					if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
						t.Errorf("a health check: %v", err)
					}
				}
				if n := b.calls.Load(); n != 1 {
					t.Errorf("%d handlers were called", n)
				}
			})
		})
	}
}

func TestServerConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 2, Queue: -1})
		b := &backend{
			empty:  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			duplex: echo,
		}
		conn := limited(t, b, intercepted(&grpcbelay.Server{Concurrency: places})...)
		c := grpc_testing.NewTestServiceClient(conn)
		ctx, cancel := context.WithCancel(t.Context())
		go empty(ctx, c)
		s, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s.Send(message("a"))
		s.Recv()
		synctest.Wait()
		var trailer metadata.MD
		err = empty(t.Context(), c, grpc.Trailer(&trailer))
		if status.Code(err) != codes.Unavailable || grpcbelay.RetryAfter(err) != time.Second || trailer.Get("grpc-retry-pushback-ms")[0] != "1000" {
			t.Errorf("%v, %v", err, trailer)
		}
		trailer = nil
		if s, err = c.FullDuplexCall(t.Context(), grpc.Trailer(&trailer)); err == nil {
			_, err = s.Recv()
		}
		if status.Code(err) != codes.Unavailable || len(trailer.Get("grpc-retry-pushback-ms")) != 1 {
			t.Errorf("a stream: %v, %v", err, trailer)
		}
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Errorf("a health check: %v", err)
		}
		cancel()
		synctest.Wait()
		if s := places.Stats(); s.InUse != 0 || s.Calls != 2 || s.Refused != 2 {
			t.Errorf("%+v", s)
		}
		if _, err := talk(t, c, "a"); err != nil {
			t.Errorf("a stream when places are free: %v", err)
		}
	})
}

// A handler that panics or exits gives its place back.
func TestServerPanic(t *testing.T) {
	places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1})
	layer := &grpcbelay.Server{Concurrency: places}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { recover() }()
		layer.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: emptyCall}, func(context.Context, any) (any, error) { panic("in the handler") })
	})
	wg.Wait()
	if n := places.Stats().InUse; n != 0 {
		t.Errorf("%d places are held", n)
	}
}

// learns is a limit that is told how calls were answered.
type learns struct {
	mu   sync.Mutex
	told []ratelimit.Outcome
}

func (l *learns) Acquire(context.Context) (ratelimit.Permit, error) {
	return ratelimit.NewPermit(l, 0), nil
}
func (l *learns) Done(uint64) {}
func (l *learns) Answered(_ uint64, o ratelimit.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, o)
}

func (l *learns) take() (told []ratelimit.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	told, l.told = l.told, nil
	return told
}

func TestLimitsLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := &learns{}, &learns{}
		limit := &grpcbelay.Limit{Concurrency: client}
		var code codes.Code
		b := &backend{duplex: func(s duplexServer) error {
			s.Recv()
			return status.Error(code, "")
		}, empty: func(ctx context.Context) error {
			if code == codes.DeadlineExceeded {
				<-ctx.Done()
				return ctx.Err()
			}
			return status.Error(code, "")
		}}
		l := serve(t, b, intercepted(&grpcbelay.Server{Concurrency: server})...)
		c := grpc_testing.NewTestServiceClient(dial(t, l, grpc.WithChainUnaryInterceptor(limit.Unary), grpc.WithChainStreamInterceptor(limit.Stream)))
		for _, want := range []struct {
			code           codes.Code
			client, server ratelimit.Outcome
		}{
			{codes.OK, ratelimit.Success, ratelimit.Success},
			{codes.NotFound, ratelimit.Success, ratelimit.Success},
			{codes.Internal, ratelimit.Failure, ratelimit.Success},
			{codes.ResourceExhausted, ratelimit.Overload, ratelimit.Success},
			{codes.DeadlineExceeded, ratelimit.Failure, ratelimit.Default}, // whose clock is first
		} {
			code = want.code
			empty(timeout(t, time.Second), c)
			synctest.Wait()
			if a, b := client.take(), server.take(); len(a) != 1 || len(b) != 1 || a[0] != want.client || b[0] != want.server && want.server != ratelimit.Default {
				t.Errorf("%v: %v and %v, want %v and %v", code, a, b, want.client, want.server)
			}
			if code != codes.DeadlineExceeded {
				talk(t, c, "a")
				synctest.Wait()
				if a, b := client.take(), server.take(); len(a) != 1 || len(b) != 1 || a[0] != want.client || b[0] != want.server {
					t.Errorf("a stream, %v: %v and %v, want %v and %v", code, a, b, want.client, want.server)
				}
			}
		}
	})
}

// What a handler has been refused is told to its client as what it is.
func TestServerPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := breaker.New(breaker.Config{})
		down.Trip(10*time.Second, nil)
		var err error
		b := &backend{empty: func(ctx context.Context) error { return err }, duplex: func(duplexServer) error { return err }}
		c := grpc_testing.NewTestServiceClient(limited(t, b, intercepted(&grpcbelay.Server{})...))
		for _, want := range []struct {
			err  error
			code codes.Code
			text string
		}{
			{breaker.Run(t.Context(), down, func(context.Context) error { return nil }), codes.Unavailable, "breaker is open"},
			{fmt.Errorf("the price: %w", status.Error(codes.NotFound, "no such thing")), codes.NotFound, "the price: rpc error: code = NotFound desc = no such thing"},
			{context.DeadlineExceeded, codes.DeadlineExceeded, "context deadline exceeded"},
			{errors.New("any"), codes.Unknown, "any"},
		} {
			err = want.err
			got := status.Convert(empty(t.Context(), c))
			if got.Code() != want.code || !strings.Contains(got.Message(), want.text) {
				t.Errorf("%v came as %v", err, got)
			}
			if _, err := talk(t, c, "a"); status.Code(err) != want.code {
				t.Errorf("%v came from a stream as %v", want.err, err)
			}
		}
	})
}

func TestClientIP(t *testing.T) {
	call := func(addr, forwarded string) context.Context {
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(addr), Port: 1234}})
		if forwarded != "" {
			ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("x-forwarded-for", forwarded))
		}
		return ctx
	}
	proxies := netip.MustParsePrefix("10.0.0.0/8")
	for _, c := range []struct {
		ctx  context.Context
		of   func(context.Context) netip.Addr
		want string
	}{
		{call("192.0.2.1", ""), grpcbelay.ClientIP(), "192.0.2.1"},
		{call("192.0.2.1", "198.51.100.7"), grpcbelay.ClientIP(), "192.0.2.1"},
		{call("10.1.2.3", "198.51.100.7"), grpcbelay.ClientIP(proxies), "198.51.100.7"},
		{call("2001:db8::1:2", ""), grpcbelay.ClientIP(), "2001:db8::"},
		{t.Context(), grpcbelay.ClientIP(), "invalid IP"},
	} {
		if got := c.of(c.ctx); got.String() != c.want {
			t.Errorf("%v, want %s", got, c.want)
		}
	}
}
