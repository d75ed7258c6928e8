package grpcbelay_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Each attempt has a reply, a header, a trailer and a peer of its own, and those of the
// one that counts reach the caller, together.
func TestHedge(t *testing.T) {
	for _, inline := range []bool{false, true} {
		t.Run("inline "+strconv.FormatBool(inline), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				b.unary = func(ctx context.Context, req *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
					n := strconv.FormatInt(b.calls.Load(), 10)
					time.Sleep(rand.N(40 * time.Millisecond))
					grpc.SetHeader(ctx, metadata.Pairs("n", n))
					grpc.SetTrailer(ctx, metadata.Pairs("n", n))
					return &grpc_testing.SimpleResponse{Username: n, Payload: req.Payload}, nil
				}
				hedger := retry.NewHedger(retry.HedgeConfig{Delay: 10 * time.Millisecond, Max: 4, Inline: inline, Budget: retry.NoBudget})
				c := client(t, b, grpc.WithChainUnaryInterceptor((&grpcbelay.Retry{Hedger: hedger, Idempotent: anyMethod}).Unary))
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						for i := range 20 {
							var header, trailer metadata.MD
							var from peer.Peer
							finished := 0
							body := []byte(strconv.Itoa(i))
							resp, err := c.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: body}},
								grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from), grpc.OnFinish(func(error) { finished++ }))
							if err != nil {
								t.Error(err)
								return
							}
							n := resp.Username
							if header.Get("n")[0] != n || trailer.Get("n")[0] != n || from.Addr == nil || finished != 1 || string(resp.Payload.Body) != string(body) {
								t.Errorf("reply %v, header %v, trailer %v, peer %v, told %d times", resp, header, trailer, from, finished)
							}
						}
					})
				}
				wg.Wait()
				if s := hedger.Stats(); s.Hedges == 0 || s.Wins == 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Only what may be called twice is hedged; and a failed call has the trailer of its status.
func TestHedgeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(ctx context.Context) error {
			grpc.SetTrailer(ctx, metadata.Pairs("why", "because"))
			time.Sleep(20 * time.Millisecond)
			return unavailable
		}}
		hedger := retry.NewHedger(retry.HedgeConfig{Delay: 10 * time.Millisecond, Budget: retry.NoBudget})
		layer := &grpcbelay.Retry{Hedger: hedger, Idempotent: func(m string) bool { return m == emptyCall }}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary))
		var trailer metadata.MD
		err := empty(t.Context(), c, grpc.Trailer(&trailer))
		if s := status.Convert(err); s.Code() != codes.Unavailable || s.Message() != "restarting" || len(trailer.Get("why")) != 1 {
			t.Errorf("%v, trailer %v", err, trailer)
		}
		if e, ok := errors.AsType[*retry.Error](err); !ok || e.Attempts != 3 {
			t.Errorf("the policy has not made three attempts: %v", err)
		}
		if n := b.calls.Load(); n != 6 {
			t.Errorf("%d calls, want three attempts of two each", n)
		}
		b.unary = func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			time.Sleep(time.Second)
			return &grpc_testing.SimpleResponse{}, nil
		}
		b.calls.Store(0)
		if _, err := c.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{}); err != nil || b.calls.Load() != 1 {
			t.Errorf("a method that is not idempotent was called %d times: %v", b.calls.Load(), err)
		}
	})
}

func TestHedgeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		hedger := retry.NewHedger(retry.HedgeConfig{Delay: 10 * time.Millisecond})
		layer := &grpcbelay.Retry{Hedger: hedger, Idempotent: anyMethod}
		c := client(t, b, grpc.WithChainUnaryInterceptor(layer.Unary))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := empty(ctx, c); status.Code(err) != codes.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		if err := empty(timeout(t, time.Second), c); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("expired: %v", err)
		}
	})
}

// Messages that are not of protobuf have their reply as well.
func TestHedgeOtherMessages(t *testing.T) {
	type text struct{ s string }
	layer := &grpcbelay.Retry{Hedger: retry.NewHedger(retry.HedgeConfig{}), Idempotent: anyMethod}
	var got text
	err := layer.Unary(t.Context(), "/a/b", &text{"question"}, &got, nil, func(_ context.Context, _ string, req, reply any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		if reply == any(&got) {
			t.Error("an attempt has the caller's reply")
		}
		reply.(*text).s = "answer to " + req.(*text).s
		return nil
	})
	if err != nil || got.s != "answer to question" {
		t.Errorf("%q, %v", got.s, err)
	}
	for _, reply := range []any{nil, (*text)(nil), map[string]int{}} { // there can be no other
		err := layer.Unary(t.Context(), "/a/b", nil, reply, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
			return nil
		})
		if err != nil {
			t.Errorf("a reply that is a %T: %v", reply, err)
		}
	}
}
