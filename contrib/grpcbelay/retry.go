package grpcbelay

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Retry tries the calls of a client again when that can help. Its methods Unary and
// Stream are interceptors. The zero value is ready for use: it has a default policy for
// each authority, as [Breaker] does. Its fields must not change after the first call. It
// is safe for concurrent use, and may serve many connections.
//
// Unavailable, DeadlineExceeded and ResourceExhausted are tried again, if the call may be
// made twice, which is so if
//
//   - the method is idempotent: its proto has an idempotency_level, or Idempotent says so;
//   - the call provably never left, as there was no connection, or a layer below refused
//     it and says that another attempt would differ;
//   - the server invites to it, with a RetryInfo in the status or a grpc-retry-pushback-ms
//     in the trailer.
//
// Either of these is also the least time waited. A pushback that is negative, or no
// number, forbids another attempt. Attempts from the second on say with
// grpc-previous-rpc-attempts how many there were.
//
// A stream is tried again until its header or first message has been received. Messages
// that were sent by then are sent again, which is why they must not be changed: 64 KiB of
// them are kept, and a stream that has sent more, or a message that is not a
// proto.Message, is not tried again. A stream of which the opening had to be tried again
// is not tried again afterwards.
//
// After the first attempt alone, the error is the call's own. Otherwise it wraps a
// *retry.Error, and has the status of the last attempt that was sent; if the caller has
// left in the meantime, Canceled, and if the caller's time is over, DeadlineExceeded.
// What grpc.Header, grpc.Trailer and grpc.Peer give is that of the last attempt, and a
// grpc.OnFinish is called once.
//
// Let one layer retry: switch off what gRPC does itself with [grpc.WithDisableRetry],
// unless its service config has no retryPolicy. What gRPC sends again because no server
// has seen it stays on.
type Retry struct {
	// Policy is that of all calls, if set.
	Policy *retry.Policy
	// For returns the policy for a call, if set, by its method, such as
	// "/helloworld.Greeter/SayHello". nil: the call is made once. For takes precedence
	// over Policy.
	For func(ctx context.Context, method string) *retry.Policy
	// Config is that of the policies made when neither Policy nor For is set. A policy
	// without a Name has the authority's. There are 1,024; further authorities share one.
	Config retry.Config

	// Hedger, if set, begins unary calls of idempotent methods that are slow a second
	// time. Each attempt of the policy is then a hedged one. Give both the same Budget, and
	// let the Hedger be Inline. Streams are not hedged: a second one would cost the server
	// as much as the first, for as long as that lasts. Nor are calls whose reply is no
	// pointer.
	Hedger *retry.Hedger

	// Idempotent reports whether it does no harm to call a method twice whose proto does
	// not say so.
	Idempotent func(method string) bool

	// Classify decides about the error of an attempt, before the Config.Classify of the
	// policy and the rules above do. What it retries must still be allowed twice. It is
	// not asked about refusals, and when the caller has left.
	Classify func(ctx context.Context, err error) retry.Decision

	policies sync.Map // of *retry.Policy, by authority
	known    atomic.Int32
	others   sync.Once
	shared   *retry.Policy // of the authorities beyond maxKeys
}

// Unary is a grpc.UnaryClientInterceptor.
func (r *Retry) Unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	p, err := r.policy(ctx, method, cc, opts)
	if err != nil {
		return err
	}
	c := calls.Get().(*call)
	c.by, c.method, c.req, c.reply, c.cc, c.invoke = r, method, req, reply, cc, invoke
	c.opts, c.finish = withoutFinish(opts)
	ctx = spread(ctx)
	attempt := c.attempt
	if r.Hedger != nil && separable(reply) && r.idempotent(method) {
		attempt = c.hedged
	}
	if p == nil {
		_, err = attempt(ctx)
	} else {
		_, err = retry.Do(ctx, p, attempt)
	}
	if err == nil && c.number == 1 && c.finish == nil {
		c.free()
		return nil
	}
	err = final(ctx, err)
	c.finish.call(err)
	return err
}

// spread returns ctx for a call whose attempts go to different endpoints.
func spread(ctx context.Context) context.Context {
	if !spreading.Load() {
		return ctx
	}
	return loadbalance.WithSpread(ctx)
}

// policy returns the one for a call, nil for none.
func (r *Retry) policy(ctx context.Context, method string, cc *grpc.ClientConn, opts []grpc.CallOption) (*retry.Policy, error) {
	switch {
	case r.For != nil:
		return r.For(ctx, method), nil
	case r.Policy != nil:
		return r.Policy, nil
	}
	key := authority(cc, opts)
	if p, ok := r.policies.Load(key); ok {
		return p.(*retry.Policy), nil
	}
	if err := r.Config.Validate(); err != nil {
		return nil, status.Error(codes.Internal, "grpcbelay: Retry.Config: "+err.Error())
	}
	if r.known.Load() >= maxKeys {
		r.others.Do(func() { r.shared = retry.New(r.Config) })
		return r.shared, nil
	}
	cfg := r.Config
	if cfg.Name == "" {
		cfg.Name = key
	}
	p, loaded := r.policies.LoadOrStore(key, retry.New(cfg))
	if !loaded {
		r.known.Add(1)
	}
	return p.(*retry.Policy), nil
}

// onFinish is what the caller wants to be told at the end of a call.
type onFinish []func(error)

func (f onFinish) call(err error) {
	for _, tell := range f {
		tell(err)
	}
}

// withoutFinish returns opts without each grpc.OnFinish, which is for the call and not
// for its attempts.
func withoutFinish(opts []grpc.CallOption) (rest []grpc.CallOption, finish onFinish) {
	for _, o := range opts {
		if f, ok := o.(grpc.OnFinishCallOption); ok {
			finish = append(finish, f.OnFinish)
		}
	}
	if finish == nil {
		return opts, nil
	}
	for _, o := range opts {
		if _, ok := o.(grpc.OnFinishCallOption); !ok {
			rest = append(rest, o)
		}
	}
	return rest, finish
}
