package grpcbelay

import (
	"context"
	"io"
	"sync"

	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// maxKept is how much of a stream is kept to be sent again, in bytes: what a server lets a
// client send before it has read anything (RFC 9113, section 6.9.2). To send that again
// does not wait for the server.
const maxKept = 65535

// Stream is a grpc.StreamClientInterceptor.
func (r *Retry) Stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	p, err := r.policy(ctx, method, cc, opts)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return open(ctx, desc, cc, method, opts...)
	}
	s := &retried{by: r, policy: p, ctx: spread(ctx), desc: desc, cc: cc, method: method, streamer: open}
	s.opts, s.finish = withoutFinish(opts)
	if err := s.begin(); err != nil {
		s.settle(err)
		return nil, err
	}
	return s, nil
}

// A retried stream is sent again as long as nothing has come back. Whoever receives does
// that, on his own goroutine.
type retried struct {
	by       *Retry
	policy   *retry.Policy
	ctx      context.Context // of the call
	desc     *grpc.StreamDesc
	cc       *grpc.ClientConn
	method   string
	streamer grpc.Streamer
	opts     []grpc.CallOption
	finish   onFinish

	// sending is held while messages are kept, and while those that were kept are sent
	// again. mu is never held while a stream is called, which may call ended.
	sending sync.Mutex
	kept    []any // messages that were sent
	size    int   // of kept, in bytes
	closed  bool  // CloseSend was called

	mu        sync.Mutex
	stream    grpc.ClientStream       // the attempt
	cancel    context.CancelCauseFunc // ends it
	over      bool                    // it has ended, with end
	end       error
	receiving bool  // the first answer is waited for, and decides
	committed bool  // there is no further attempt
	settled   bool  // the caller knows how the call has ended
	err       error // what receiving comes to from then on, if there is no stream for it
}

// begin opens the stream. If the first attempt to do so fails and another succeeds, that
// one is committed: no call has more attempts than its policy allows.
func (s *retried) begin() error {
	sent, err := s.open(1)
	if err == nil || s.ctx.Err() != nil {
		return err
	}
	number := 0
	return final(s.ctx, retry.Run(s.ctx, s.policy, func(ctx context.Context) error {
		if number++; number > 1 {
			s.commit()
			sent, err = s.open(number)
		}
		return s.by.judge(ctx, s.method, err, sent, nil)
	}))
}

// open makes an attempt, and reports whether it may have reached a server.
func (s *retried) open(number int) (sent bool, err error) {
	ctx, cancel := context.WithCancelCause(numbered(s.ctx, number))
	s.mu.Lock()
	s.over = false
	s.mu.Unlock()
	cs, err := s.streamer(ctx, s.desc, s.cc, s.method, append(s.opts[:len(s.opts):len(s.opts)], grpc.OnFinish(s.ended))...)
	if err != nil {
		cancel(nil)
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream, s.cancel = cs, cancel
	return true, nil
}

// ended is told the end of an attempt. It is that of the call if nobody will make another.
func (s *retried) ended(err error) {
	s.mu.Lock()
	s.over, s.end = true, err
	last := s.stream != nil && (s.committed || !s.receiving)
	s.committed = s.committed || last
	s.mu.Unlock()
	if last {
		s.settle(err)
	}
}

// settle tells the caller how the call has ended.
func (s *retried) settle(err error) {
	s.mu.Lock()
	first := !s.settled
	s.settled = true
	s.mu.Unlock()
	if first {
		s.finish.call(err)
	}
}

// current returns the attempt. open says that there may be another.
func (s *retried) current() (cs grpc.ClientStream, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream, !s.committed
}

// commit makes the attempt the last one, and returns it. over says that it has ended
// already.
func (s *retried) commit() (cs grpc.ClientStream, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = true
	return s.stream, s.over
}

func (s *retried) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// first waits for the first answer, and makes other attempts if there is none. It returns
// what receive does, or why there is nothing to receive.
func (s *retried) first(receive func(grpc.ClientStream) error) error {
	if !s.receive() {
		cs, _ := s.commit()
		return receive(cs)
	}
	passed := false
	defer func() {
		if !passed { // a panic, or runtime.Goexit
			s.fail(errUnwound)
		}
	}()
	var got error
	number := 0
	err := retry.Run(s.ctx, s.policy, func(ctx context.Context) error {
		if number++; number > 1 {
			if late, err := s.again(number); late {
				return retry.Permanent(got)
			} else if err != nil {
				return s.by.judge(s.ctx, s.method, err, false, nil)
			}
		}
		cs, cancel := s.attempt()
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		got = receive(cs)
		defer s.release()
		if stop(); got == nil || got == io.EOF {
			return nil
		}
		if ctx.Err() != nil && s.ctx.Err() == nil { // the attempt's time is over
			got = status.FromContextError(context.DeadlineExceeded).Err()
		}
		return s.by.judge(s.ctx, s.method, got, true, cs.Trailer())
	})
	passed = true
	defer s.forget()
	if err != nil {
		return s.fail(final(s.ctx, err))
	}
	if _, over := s.commit(); over {
		s.settle(s.end)
	}
	return got
}

// receive reports whether the caller is the one whom the first answer is for, and may
// have other attempts.
func (s *retried) receive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiving || s.committed || s.ctx.Err() != nil {
		return false
	}
	s.receiving = true
	return true
}

// fail ends the call with err, and returns it.
func (s *retried) fail(err error) error {
	s.mu.Lock()
	s.committed, s.err = true, err
	s.mu.Unlock()
	s.settle(err)
	return err
}

func (s *retried) attempt() (grpc.ClientStream, context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream, s.cancel
}

// forget drops what is kept.
func (s *retried) forget() {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.kept = nil
}

// again opens the stream once more, and sends what was sent. late says that it must not
// any more, as not all is kept.
func (s *retried) again(number int) (late bool, err error) {
	s.sending.Lock()
	defer s.sending.Unlock()
	if _, open := s.current(); !open {
		return true, nil
	}
	if _, err = s.open(number); err != nil {
		return false, err
	}
	cs, _ := s.attempt()
	for _, m := range s.kept {
		if cs.SendMsg(m) != nil {
			return false, nil // whoever receives learns why
		}
	}
	if s.closed {
		cs.CloseSend()
	}
	return false, nil
}
