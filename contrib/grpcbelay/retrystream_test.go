package grpcbelay_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type duplexServer = grpc_testing.TestService_FullDuplexCallServer

func message(s string) *grpc_testing.StreamingOutputCallRequest {
	return &grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(s)}}
}

// echo answers each message with itself.
func echo(s duplexServer) error {
	for {
		m, err := s.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: m.Payload}); err != nil {
			return err
		}
	}
}

// failing is echo, but the first attempts fail after they have read so many messages.
func failing(reads ...int) func(duplexServer) error {
	return func(s duplexServer) error {
		if len(reads) == 0 {
			return echo(s)
		}
		n := reads[0]
		reads = reads[1:]
		for range n {
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
		return unavailable
	}
}

func streamClient(t *testing.T, b *backend, layer *grpcbelay.Retry) grpc_testing.TestServiceClient {
	return client(t, b, grpc.WithChainStreamInterceptor(layer.Stream))
}

// talk sends messages, and returns what comes back.
func talk(t *testing.T, c grpc_testing.TestServiceClient, messages ...string) (got []string, err error) {
	finished := 0
	var told error
	s, err := c.FullDuplexCall(t.Context(), grpc.OnFinish(func(err error) { finished++; told = err }))
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if err := s.Send(message(m)); err != nil && err != io.EOF {
			return nil, err
		}
	}
	s.CloseSend()
	for {
		m, err := s.Recv()
		if err != nil {
			if finished != 1 || status.Code(told) != status.Code(err) && err != io.EOF {
				t.Errorf("told %d times of %v, but it is %v", finished, told, err)
			}
			if err == io.EOF {
				err = nil
			}
			return got, err
		}
		got = append(got, string(m.Payload.Body))
	}
}

func TestRetryStream(t *testing.T) {
	for name, c := range map[string]struct {
		serve    func(duplexServer) error
		want     int // messages of three that come back
		code     codes.Code
		attempts int64
	}{
		"good":                        {echo, 3, codes.OK, 1},
		"fails at once":               {failing(0), 3, codes.OK, 2},
		"fails after what was sent":   {failing(3, 1), 3, codes.OK, 3},
		"fails too often":             {failing(0, 1, 2), 0, codes.Unavailable, 3},
		"an answer":                   {func(duplexServer) error { return status.Error(codes.NotFound, "") }, 0, codes.NotFound, 1},
		"an answer without a message": {func(duplexServer) error { return nil }, 0, codes.OK, 1},
		"fails after a message": {func(s duplexServer) error {
			s.Recv()
			s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: []byte("a")}})
			return unavailable
		}, 1, codes.Unavailable, 1},
		"fails after a header": {func(s duplexServer) error {
			s.SendHeader(metadata.Pairs("a", "b"))
			return unavailable
		}, 0, codes.Unavailable, 3}, // nobody has seen the header
		"pushed back": {func(s duplexServer) error {
			s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "-1"))
			return unavailable
		}, 0, codes.Unavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{duplex: c.serve}
				got, err := talk(t, streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod}), "a", "b", "c")
				if len(got) != c.want || status.Code(err) != c.code || b.calls.Load() != c.attempts {
					t.Errorf("after %d attempts: %v, %v", b.calls.Load(), got, err)
				}
				for i, m := range got {
					if m != string(rune('a'+i)) {
						t.Errorf("got %v", got)
					}
				}
				if c.code == codes.Unavailable && c.attempts == 3 {
					if s := status.Convert(err); !errors.Is(err, retry.ErrExhausted) || s.Message() != "restarting" {
						t.Errorf("%v", err)
					}
				}
			})
		})
	}
}

// Nothing is sent twice whose method is not idempotent, unless the server invites to it.
func TestRetryStreamNotIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{duplex: failing(1)}
		c := streamClient(t, b, &grpcbelay.Retry{})
		if _, err := talk(t, c, "a"); status.Code(err) != codes.Unavailable || b.calls.Load() != 1 {
			t.Errorf("%d attempts: %v", b.calls.Load(), err)
		}
		invited := false
		b.duplex = func(s duplexServer) error {
			if !invited {
				invited = true
				return withRetryInfo(codes.Unavailable, time.Second)
			}
			return echo(s)
		}
		if got, err := talk(t, c, "a"); err != nil || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestRetryStreamKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.output = func(req *grpc_testing.StreamingOutputCallRequest, s grpc_testing.TestService_StreamingOutputCallServer) error {
			if b.calls.Load() < 3 {
				return unavailable
			}
			for range 3 {
				s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: req.Payload})
			}
			return nil
		}
		c := streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod})
		out, err := c.StreamingOutputCall(t.Context(), message("hello"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if m, err := out.Recv(); err != nil || string(m.Payload.Body) != "hello" {
				t.Fatal(m, err)
			}
		}
		if _, err := out.Recv(); err != io.EOF {
			t.Error(err)
		}

		b.calls.Store(0)
		b.input = func(s grpc_testing.TestService_StreamingInputCallServer) error {
			size := 0
			for {
				m, err := s.Recv()
				if err == io.EOF {
					break
				} else if err != nil {
					return err
				}
				size += len(m.Payload.Body)
			}
			if b.calls.Load() < 3 {
				return unavailable
			}
			return s.SendAndClose(&grpc_testing.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		finished := 0
		in, err := c.StreamingInputCall(t.Context(), grpc.OnFinish(func(error) { finished++ }))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			in.Send(&grpc_testing.StreamingInputCallRequest{Payload: &grpc_testing.Payload{Body: []byte("12345")}})
		}
		if resp, err := in.CloseAndRecv(); err != nil || resp.AggregatedPayloadSize != 25 || finished != 1 {
			t.Errorf("%v, %v, told %d times", resp, err, finished)
		}
	})
}

// Whoever asks for the header first gets that of an attempt that has one.
func TestRetryStreamHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.duplex = func(s duplexServer) error {
			if b.calls.Load() < 3 {
				return unavailable
			}
			s.SendHeader(metadata.Pairs("n", strconv.FormatInt(b.calls.Load(), 10)))
			return echo(s)
		}
		c := streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod})
		s, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Send(message("a"))
		if md, err := s.Header(); err != nil || md.Get("n")[0] != "3" {
			t.Fatal(md, err)
		}
		if m, err := s.Recv(); err != nil || string(m.Payload.Body) != "a" {
			t.Fatal(m, err)
		}
		s.CloseSend()
		if _, err := s.Recv(); err != io.EOF {
			t.Error(err)
		}

		b.duplex = func(s duplexServer) error { return unavailable }
		if s, err = c.FullDuplexCall(t.Context()); err != nil {
			t.Fatal(err)
		}
		if md, err := s.Header(); md != nil || err != nil {
			t.Errorf("a stream that has failed has the header %v, %v", md, err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable || !errors.Is(err, retry.ErrExhausted) {
			t.Error(err)
		}
	})
}

// What was sent is kept up to a limit, and a stream that has sent more is not tried again.
func TestRetryStreamLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]int64{1 << 10: 3, 60 << 10: 3, 70 << 10: 1} {
			b := &backend{duplex: func(s duplexServer) error { s.Recv(); return unavailable }}
			c := streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod})
			s, err := c.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.Send(message(string(make([]byte, size))))
			if _, err := s.Recv(); status.Code(err) != codes.Unavailable || b.calls.Load() != want {
				t.Errorf("%d bytes: %d attempts, %v", size, b.calls.Load(), err)
			}
		}
	})
}

// The layers below a Retry see the failure of each attempt as what it is, and not as a
// cancel.
func TestRetryStreamFailuresCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := breaker.New(breaker.Config{})
		b := &backend{duplex: func(duplexServer) error { return unavailable }}
		_, c := newFleet(t, "belay", []*backend{b}, grpc.WithChainStreamInterceptor(
			(&grpcbelay.Retry{Idempotent: anyMethod}).Stream, (&grpcbelay.Breaker{Breaker: guard}).Stream))
		if err := empty(t.Context(), c, grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
		if _, err := talk(t, c); status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
		if got, want := guard.Stats().Window, (breaker.Counts{Calls: 3, Failed: 3}); got != want {
			t.Errorf("the breaker has counted %+v", got)
		}
		if e := statsOf(t, belayed).Endpoints[0]; e.Failed != 3 {
			t.Errorf("the balancer has counted %+v", e)
		}
	})
}

// Too much can be sent while another attempt is waited for, which is too late for it then.
func TestRetryStreamLimitDuringBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{duplex: func(duplexServer) error { return unavailable }}
		c := streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod, Config: retry.Config{Schedule: retry.Constant(time.Second)}})
		finished := 0
		s, err := c.FullDuplexCall(t.Context(), grpc.OnFinish(func(error) { finished++ }))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(500 * time.Millisecond)
			if err := s.Send(message(string(make([]byte, 70<<10)))); err != io.EOF {
				t.Errorf("the stream has ended, but to send returns %v", err)
			}
		}()
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable || b.calls.Load() != 1 || finished != 1 {
			t.Errorf("%d attempts, told %d times: %v", b.calls.Load(), finished, err)
		}
	})
}

// A stream that has no first answer in time is begun anew. How long it goes on after that
// is not limited.
func TestRetryStreamAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.duplex = func(s duplexServer) error {
			if b.calls.Load() == 1 {
				<-s.Context().Done()
				return s.Context().Err()
			}
			s.Recv()
			s.Send(&grpc_testing.StreamingOutputCallResponse{})
			time.Sleep(time.Hour)
			return nil
		}
		c := streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod, Config: retry.Config{AttemptTimeout: time.Second}})
		s, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Send(message("a"))
		if _, err := s.Recv(); err != nil || b.calls.Load() != 2 {
			t.Fatal(b.calls.Load(), err)
		}
		if _, err := s.Recv(); err != io.EOF {
			t.Error(err)
		}
	})
}

// The opening of a stream is tried again as well, and then nothing else is.
func TestRetryStreamOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{duplex: func(duplexServer) error { return unavailable }}
		l := serve(t, b)
		layer := &grpcbelay.Retry{Idempotent: anyMethod}
		fails, opened := 2, 0
		c := grpc_testing.NewTestServiceClient(dial(t, l, grpc.WithChainStreamInterceptor(layer.Stream,
			func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				if opened++; opened <= fails {
					return nil, unavailable
				}
				return open(ctx, desc, cc, method, opts...)
			})))
		s, err := c.FullDuplexCall(t.Context())
		if err != nil || opened != 3 {
			t.Fatal(opened, err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable || b.calls.Load() != 1 {
			t.Errorf("%d attempts after the opening: %v", b.calls.Load(), err)
		}
		fails, opened = 3, 0
		finished := 0
		_, err = c.FullDuplexCall(t.Context(), grpc.OnFinish(func(error) { finished++ }))
		if e, ok := errors.AsType[*retry.Error](err); !ok || e.Attempts != 3 || opened != 3 || finished != 1 {
			t.Errorf("opened %d times, told %d times: %v", opened, finished, err)
		}
	})
}

func TestRetryStreamCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{duplex: func(duplexServer) error { return withRetryInfo(codes.Unavailable, 10*time.Second) }}
		c := streamClient(t, b, &grpcbelay.Retry{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var told error
		s, err := c.FullDuplexCall(ctx, grpc.OnFinish(func(err error) { told = err }))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) || status.Code(told) != codes.Canceled {
			t.Errorf("%v, told %v", err, told)
		}
	})
}

// Whoever asks for the context or the trailer of a stream has its last attempt.
func TestRetryStreamCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, commit := range map[string]func(grpc.ClientStream){
			"Context": func(s grpc.ClientStream) { s.Context() },
			"a message of another kind": func(s grpc.ClientStream) {
				if err := s.SendMsg("not of protobuf"); err == nil {
					t.Error("a string was sent")
				}
			},
		} {
			b := &backend{duplex: func(duplexServer) error { return unavailable }}
			s, err := streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod}).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			commit(s)
			if _, err := s.Recv(); err == nil || b.calls.Load() > 1 {
				t.Errorf("%s: %d attempts, %v", name, b.calls.Load(), err)
			}
		}
	})
}

// Senders and receivers at once, over servers that fail anywhere: what comes back is what
// was sent, in its order, or the error of the server.
func TestRetryStreamConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(1, 2))
		b := &backend{duplex: func(s duplexServer) error {
			mu.Lock()
			fail, reads := random.IntN(2) == 0, random.IntN(6)
			mu.Unlock()
			if !fail {
				return echo(s)
			}
			for range reads {
				if _, err := s.Recv(); err != nil {
					break
				}
			}
			return unavailable
		}}
		c := streamClient(t, b, &grpcbelay.Retry{Idempotent: anyMethod, Config: retry.Config{Budget: retry.NoBudget, Schedule: retry.Constant(time.Millisecond)}})
		var wg sync.WaitGroup
		good := 0
		for range 200 {
			wg.Go(func() {
				s, err := c.FullDuplexCall(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				wg.Go(func() {
					for i := range 8 {
						if err := s.Send(message(strconv.Itoa(i))); err != nil && err != io.EOF {
							t.Error(err)
						}
						time.Sleep(500 * time.Microsecond)
					}
					s.CloseSend()
				})
				for i := 0; ; i++ {
					m, err := s.Recv()
					if err == io.EOF && i == 8 || status.Code(err) == codes.Unavailable && i == 0 {
						mu.Lock()
						if i == 8 {
							good++
						}
						mu.Unlock()
						return
					}
					if err != nil || string(m.Payload.Body) != strconv.Itoa(i) {
						t.Errorf("message %d: %v, %v", i, m, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if good < 120 {
			t.Errorf("%d of 200 streams were good", good)
		}
	})
}
