package grpcbelay_test

import (
	"context"
	"errors"
	"io"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/ratelimit"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestBreakerOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(context.Context) error { return status.Error(codes.Unavailable, "restarting") }}
		guards := &grpcbelay.Breaker{}
		c := client(t, b, grpc.WithChainUnaryInterceptor(guards.Unary))
		for range 5 {
			if err := empty(t.Context(), c); errors.Is(err, breaker.ErrOpen) || status.Convert(err).Message() != "restarting" {
				t.Fatal(err)
			}
		}
		err := empty(t.Context(), c)
		if e, ok := errors.AsType[*breaker.Error](err); !ok || e.Name != "passthrough:///orders" {
			t.Fatalf("after five failures: %v", err)
		}
		if s := status.Convert(err); s.Code() != codes.Unavailable || grpcbelay.RetryAfter(s.Err()) <= 3*time.Second {
			t.Errorf("the refusal is %v, to be asked again in %v", s, grpcbelay.RetryAfter(s.Err()))
		}
		if n := b.calls.Load(); n != 5 {
			t.Errorf("%d calls have arrived", n)
		}
		if err := empty(t.Context(), c, grpc.CallAuthority("elsewhere")); errors.Is(err, breaker.ErrOpen) {
			t.Error("another authority has the same breaker")
		}
		names := map[string]breaker.State{}
		for name, b := range guards.All() {
			names[name] = b.State()
		}
		if len(names) != 2 || names["passthrough:///orders"] != breaker.Open || names["elsewhere"] != breaker.Closed {
			t.Errorf("breakers: %v", names)
		}
	})
}

// Answers are the caller's business, and his own cancel is nobody's failure.
func TestBreakerStaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := breaker.New(breaker.Config{})
		b := &backend{empty: func(ctx context.Context) error { return status.Error(codes.NotFound, "") }}
		c := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Breaker{Breaker: guard}).Unary))
		for range 30 {
			empty(t.Context(), c)
		}
		b.empty = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		for range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() { time.Sleep(time.Millisecond); cancel() }()
			if err := empty(ctx, c); status.Code(err) != codes.Canceled {
				t.Fatal(err)
			}
		}
		if s := guard.Stats(); s.State != breaker.Closed || s.Window.Failed != 0 || s.Window.Calls != 30 {
			t.Errorf("%v, %+v", s.State, s.Window)
		}
		for range 20 { // a server that never answers
			empty(timeout(t, time.Millisecond), c)
		}
		if got := guard.State(); got != breaker.Open {
			t.Errorf("after twenty deadlines the breaker is %v", got)
		}
	})
}

func TestBreakerFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		services := breaker.NewSet(breaker.SetConfig[string]{})
		layer := &grpcbelay.Breaker{For: func(_ context.Context, method string) *breaker.Breaker {
			if method == unaryCall {
				return nil
			}
			return services.Get(path.Dir(method))
		}}
		unavailable := status.Error(codes.Unavailable, "")
		b := &backend{
			empty: func(context.Context) error { return unavailable },
			unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				return nil, unavailable
			},
			output: func(*grpc_testing.StreamingOutputCallRequest, grpc_testing.TestService_StreamingOutputCallServer) error {
				return unavailable
			},
		}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary), grpc.WithChainStreamInterceptor(layer.Stream))
		for range 5 {
			empty(t.Context(), c)
		}
		if got := services.Get("/grpc.testing.TestService").State(); got != breaker.Open {
			t.Errorf("the breaker of the service is %v", got)
		}
		if _, err := c.StreamingOutputCall(t.Context(), &grpc_testing.StreamingOutputCallRequest{}); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("a stream of the service: %v", err)
		}
		for range 10 {
			if _, err := c.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{}); errors.Is(err, breaker.ErrOpen) {
				t.Fatal("a call for which there is no breaker was refused")
			}
		}
	})
}

func TestBreakerClassify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		layer := &grpcbelay.Breaker{Classify: func(_ context.Context, err error) breaker.Outcome {
			if status.Code(err) == codes.NotFound {
				return breaker.Failure
			}
			return breaker.Default
		}}
		b := &backend{empty: func(context.Context) error { return status.Error(codes.NotFound, "") }}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary))
		for range 5 {
			empty(t.Context(), c)
		}
		if err := empty(t.Context(), c); !errors.Is(err, breaker.ErrOpen) {
			t.Error(err)
		}
	})
}

// A Classify that says Failure to everything cannot make a refusal or a cancel one.
func TestBreakerClassifyIsNotAsked(t *testing.T) {
	guard := breaker.New(breaker.Config{})
	layer := &grpcbelay.Breaker{Breaker: guard, Classify: func(context.Context, error) breaker.Outcome { return breaker.Failure }}
	call := func(ctx context.Context, err error) {
		layer.Unary(ctx, emptyCall, nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			return err
		})
	}
	places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1, Queue: -1})
	places.Allow()
	_, refusal := places.Acquire(t.Context())
	call(t.Context(), refusal)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	call(cancelled, status.Error(codes.Canceled, ""))
	if got := guard.Stats().Window; got.Calls != 0 {
		t.Errorf("counted: %+v", got)
	}
	call(t.Context(), nil)
	if got := guard.Stats().Window; got.Failed != 1 {
		t.Errorf("it was not asked about a success: %+v", got)
	}
}

// Code below that panics or exits costs nothing that is held, and teaches a limit nothing.
func TestUnwinding(t *testing.T) {
	guard, limit := breaker.New(breaker.Config{}), &learns{}
	places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1, Queue: -1})
	breakers, learned, limits := &grpcbelay.Breaker{Breaker: guard}, &grpcbelay.Limit{Concurrency: limit}, &grpcbelay.Limit{Concurrency: places}
	for _, unwind := range []func(){func() { panic("below") }, runtime.Goexit} {
		var wg sync.WaitGroup
		for _, call := range []func(){
			func() {
				invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
					unwind()
					return nil
				}
				breakers.Unary(t.Context(), emptyCall, nil, nil, nil, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
					return limits.Unary(ctx, method, req, reply, cc, func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
						return learned.Unary(ctx, method, req, reply, cc, invoke)
					})
				})
			},
			func() {
				learned.Stream(t.Context(), nil, nil, duplexCall, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
					unwind()
					return nil, nil
				})
			},
		} {
			wg.Go(func() {
				defer func() { recover() }()
				call()
			})
		}
		wg.Wait()
	}
	if got := guard.Stats(); got.Window.Failed != 2 || places.Stats().InUse != 0 {
		t.Errorf("counted: %+v; held: %d", got.Window, places.Stats().InUse)
	}
	if told := limit.take(); len(told) != 0 {
		t.Errorf("a limit was told %v", told)
	}
}

func TestBreakerInvalidConfig(t *testing.T) {
	layer := &grpcbelay.Breaker{Config: breaker.Config{FailureRate: 2}}
	err := layer.Unary(t.Context(), emptyCall, nil, nil, nil, nil)
	if status.Code(err) != codes.Internal {
		t.Error(err)
	}
	for range layer.All() {
		t.Error("a breaker that cannot be made")
	}
}

// A server that cannot encode its answer has failed.
func TestBreakerServerCannotEncode(t *testing.T) {
	guard := breaker.New(breaker.Config{})
	layer := &grpcbelay.Breaker{Breaker: guard}
	call := func(req any) {
		layer.Unary(t.Context(), unaryCall, req, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			return status.Error(codes.Internal, "grpc: error while marshaling: string field contains invalid UTF-8")
		})
	}
	call(&grpc_testing.EchoStatus{Message: "\xff"})
	if got := guard.Stats().Window; got.Failed != 0 {
		t.Errorf("a request that cannot be encoded counts: %+v", got)
	}
	call(&grpc_testing.EchoStatus{Message: "fine"})
	if got := guard.Stats().Window; got.Failed != 1 {
		t.Errorf("a response that cannot be encoded does not count: %+v", got)
	}
}

// However a stream ends, what is held for it is given back, and its outcome counts.
func TestStreamEnds(t *testing.T) {
	type stream = grpc_testing.TestService_FullDuplexCallClient
	fails := func(grpc_testing.TestService_FullDuplexCallServer) error { return status.Error(codes.Unavailable, "") }
	echo := func(s grpc_testing.TestService_FullDuplexCallServer) error {
		for {
			if _, err := s.Recv(); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := s.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
				return err
			}
		}
	}
	for name, c := range map[string]struct {
		serve func(grpc_testing.TestService_FullDuplexCallServer) error
		use   func(stream, context.CancelFunc)
		want  breaker.Counts
	}{
		"EOF": {echo, func(s stream, _ context.CancelFunc) {
			s.Send(&grpc_testing.StreamingOutputCallRequest{})
			s.Recv()
			s.CloseSend()
			if _, err := s.Recv(); err != io.EOF {
				t.Error(err)
			}
		}, breaker.Counts{Calls: 1}},
		"error":               {fails, func(s stream, _ context.CancelFunc) { s.Recv() }, breaker.Counts{Calls: 1, Failed: 1}},
		"error by the header": {fails, func(s stream, _ context.CancelFunc) { s.Header() }, breaker.Counts{Calls: 1, Failed: 1}},
		"error after a message": {func(s grpc_testing.TestService_FullDuplexCallServer) error {
			s.Send(&grpc_testing.StreamingOutputCallResponse{})
			return status.Error(codes.Internal, "")
		}, func(s stream, _ context.CancelFunc) { s.Recv(); s.Recv() }, breaker.Counts{Calls: 1, Failed: 1}},
		"an answer": {func(s grpc_testing.TestService_FullDuplexCallServer) error {
			return status.Error(codes.NotFound, "")
		}, func(s stream, _ context.CancelFunc) { s.Recv() }, breaker.Counts{Calls: 1}},
		"cancelled":             {echo, func(s stream, cancel context.CancelFunc) { cancel(); s.Recv() }, breaker.Counts{}},
		"dropped and cancelled": {echo, func(_ stream, cancel context.CancelFunc) { cancel() }, breaker.Counts{}},
		"answered, dropped and cancelled": {echo, func(s stream, cancel context.CancelFunc) {
			s.Send(&grpc_testing.StreamingOutputCallRequest{})
			s.Recv()
			cancel()
		}, breaker.Counts{Calls: 1}},
		"deadline": {echo, func(s stream, _ context.CancelFunc) { s.Recv() }, breaker.Counts{Calls: 1, Failed: 1}},
		"Goexit": {echo, func(s stream, cancel context.CancelFunc) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer cancel()
				runtime.Goexit()
			}()
			<-done
		}, breaker.Counts{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard := breaker.New(breaker.Config{})
				places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1, Queue: -1})
				conn := client(t, &backend{duplex: c.serve}, grpc.WithChainStreamInterceptor(
					(&grpcbelay.Breaker{Breaker: guard}).Stream,
					(&grpcbelay.Limit{Concurrency: places}).Stream))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				s, err := conn.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if got := places.Stats().InUse; got != 1 {
					t.Errorf("an open stream holds %d places", got)
				}
				c.use(s, cancel)
				synctest.Wait()
				if got := places.Stats().InUse; got != 0 {
					t.Errorf("%d places are still held", got)
				}
				if got := guard.Stats().Window; got != c.want {
					t.Errorf("counted: %+v, want %+v", got, c.want)
				}
			})
		})
	}
}

// What is held is given back as well if no stream is opened.
func TestStreamNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := breaker.New(breaker.Config{})
		places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 3, Queue: -1})
		guarded, limited := &grpcbelay.Breaker{Breaker: guard}, &grpcbelay.Limit{Concurrency: places}
		open := func(streamer grpc.Streamer) (err error) {
			_, err = guarded.Stream(t.Context(), nil, nil, duplexCall, func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				return limited.Stream(ctx, desc, cc, method, streamer, opts...)
			})
			return err
		}
		failed := errors.New("failed")
		if err := open(func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return nil, failed
		}); err != failed {
			t.Error(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			open(func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				runtime.Goexit()
				return nil, nil
			})
		})
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("a panic was lost")
				}
			}()
			open(func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				panic("in the streamer")
			})
		})
		wg.Wait()
		if got := places.Stats().InUse; got != 0 {
			t.Errorf("%d places are held", got)
		}
		if got := guard.Stats().Window; got.Failed != 3 {
			t.Errorf("counted: %+v", got)
		}
	})
}

// Streams that are open and well say that the backend is.
func TestGoodHeadersAreEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := breaker.New(breaker.Config{})
		layer := &grpcbelay.Breaker{Breaker: guard}
		b := &backend{
			duplex: func(s grpc_testing.TestService_FullDuplexCallServer) error {
				s.SendHeader(metadata.Pairs("a", "b"))
				<-s.Context().Done()
				return nil
			},
			empty: func(context.Context) error { return status.Error(codes.Unavailable, "") },
		}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary), grpc.WithChainStreamInterceptor(layer.Stream))
		for range 50 {
			s, err := c.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if md, err := s.Header(); err != nil || len(md) == 0 {
				t.Fatal(md, err)
			}
		}
		for range 10 {
			empty(t.Context(), c)
		}
		if s := guard.Stats(); s.State != breaker.Closed || s.Window != (breaker.Counts{Calls: 60, Failed: 10}) {
			t.Errorf("%v: %+v", s.State, s.Window)
		}
	})
}

// A thousand streams, dropped at any moment: nothing is lost.
func TestThousandStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := breaker.New(breaker.Config{})
		places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 2000})
		var finished atomic.Int64
		b := &backend{duplex: func(s grpc_testing.TestService_FullDuplexCallServer) error {
			for {
				if _, err := s.Recv(); err != nil {
					return err
				}
				if err := s.Send(&grpc_testing.StreamingOutputCallResponse{}); err != nil {
					return err
				}
			}
		}}
		c := client(t, b, grpc.WithChainStreamInterceptor((&grpcbelay.Retry{}).Stream,
			(&grpcbelay.Breaker{Breaker: guard}).Stream, (&grpcbelay.Limit{Concurrency: places}).Stream))
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s, err := c.FullDuplexCall(ctx, grpc.OnFinish(func(error) { finished.Add(1) }))
				if err != nil {
					t.Error(err)
					return
				}
				for range i % 4 {
					s.Send(&grpc_testing.StreamingOutputCallRequest{})
				}
				if i%8 > 3 {
					go s.Recv()
				} else if i%4 > 0 {
					s.Recv()
				}
				// and dropped
			})
		}
		wg.Wait()
		synctest.Wait()
		if got := places.Stats(); got.InUse != 0 || got.Calls != 1000 {
			t.Errorf("%+v", got)
		}
		if got := guard.Stats(); got.State != breaker.Closed || got.Window.Failed != 0 {
			t.Errorf("%v: %+v", got.State, got.Window)
		}
		if n := finished.Load(); n != 1000 {
			t.Errorf("%d of 1000 callers were told of the end", n)
		}
	})
}
