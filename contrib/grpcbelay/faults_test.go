package grpcbelay_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
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
	"google.golang.org/grpc/status"
)

// A client with everything, before a fleet to which everything happens. Whatever that is,
// nothing that was held is lost, and the calls that can be saved are.
func TestFaults(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		befall func(*fleet, []*backend)
		failed int // of 1,000 calls, at most
	}{
		"nothing": {func(*fleet, []*backend) {}, 0},
		"killed and restarted": {func(f *fleet, b []*backend) {
			f.servers["0"].Stop()
			time.Sleep(500 * time.Millisecond)
			f.start("0", b[0])
		}, 0},
		"gracefully restarted": {func(f *fleet, b []*backend) {
			go f.servers["1"].GracefulStop()
			time.Sleep(500 * time.Millisecond)
			f.start("1", b[1])
		}, 0},
		"one hangs": {func(_ *fleet, b []*backend) { b[2].set(hang) }, 0},
		"one fails": {func(_ *fleet, b []*backend) {
			b[3].set(func(context.Context) error { return unavailable })
		}, 0},
		"half are slow": {func(_ *fleet, b []*backend) {
			for _, b := range b[:2] {
				b.set(func(context.Context) error { time.Sleep(300 * time.Millisecond); return nil })
			}
		}, 0},
		"all are gone for a second": {func(f *fleet, b []*backend) {
			for _, n := range names(len(b)) {
				f.servers[n].Stop()
			}
			time.Sleep(time.Second)
			for i, n := range names(len(b)) {
				f.start(n, b[i])
			}
		}, 800}, // the breaker is open for longer than that
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard := breaker.New(breaker.Config{})
				places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 500})
				retries := &grpcbelay.Retry{Idempotent: anyMethod, Config: retry.Config{AttemptTimeout: time.Second}}
				breakers, limits := &grpcbelay.Breaker{Breaker: guard}, &grpcbelay.Limit{Concurrency: places}
				backends := make([]*backend, 4)
				for i := range backends {
					backends[i] = &backend{duplex: echo}
					backends[i].set(func(context.Context) error { time.Sleep(5 * time.Millisecond); return nil })
				}
				f, client := newFleet(t, "belay", backends,
					grpc.WithChainUnaryInterceptor(retries.Unary, breakers.Unary, limits.Unary),
					grpc.WithChainStreamInterceptor(retries.Stream, breakers.Stream, limits.Stream))
				empty(t.Context(), client, grpc.WaitForReady(true))
				time.Sleep(time.Second)
				var failed atomic.Int64
				var wg sync.WaitGroup
				wg.Go(func() {
					time.Sleep(time.Second)
					c.befall(f, backends)
				})
				for i := range 1000 {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
						defer cancel()
						if err := oneCall(ctx, client, i); err != nil {
							failed.Add(1)
							if c.failed == 0 {
								t.Logf("call %d: %v", i, err)
							}
						}
					})
					time.Sleep(4 * time.Millisecond)
				}
				wg.Wait()
				if n := int(failed.Load()); n > c.failed {
					t.Errorf("%d of 1000 calls failed", n)
				}
				time.Sleep(time.Minute) // whatever was left behind has ended
				if n := places.Stats().InUse; n != 0 {
					t.Errorf("%d places are held", n)
				}
				for _, e := range statsOf(t, belayed).Endpoints {
					if e.InFlight != 0 {
						t.Errorf("%s has %d calls in flight", e.Key, e.InFlight)
					}
				}
				if err := empty(t.Context(), client, grpc.WaitForReady(true)); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

// oneCall makes a call or, one time of four, a stream of a message.
func oneCall(ctx context.Context, c grpc_testing.TestServiceClient, i int) error {
	if i%4 > 0 {
		return empty(ctx, c)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // and drops the stream, half of the time
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(message("a")); err != nil && err != io.EOF {
		return err
	}
	if _, err := s.Recv(); err != nil || i%8 == 0 {
		return err
	}
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		return err
	}
	return nil
}

// A deadline that is shorter than an attempt is the caller's, and told as that.
func TestDeadlineShorterThanAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(ctx context.Context) error { time.Sleep(time.Second); return nil }}
		c := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{Idempotent: anyMethod}).Unary))
		start := time.Now()
		err := empty(timeout(t, 100*time.Millisecond), c)
		if status.Code(err) != codes.DeadlineExceeded || time.Since(start) != 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
