package grpcbelay

import (
	"context"
	"iter"
	"sync"

	"github.com/belay-go/belay/breaker"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Breaker guards the calls of a client with breakers. Its methods Unary and Stream are
// interceptors. The zero value is ready for use: it has one breaker for each authority,
// which is the target of the connection unless the call has a grpc.CallAuthority. Its
// fields must not change after the first call. It is safe for concurrent use, and may
// serve many connections.
//
// The code of the status decides, as the table in the package documentation says. A
// stream is a success as soon as its header or first message has been received, and turns
// into a failure if its status is one. It holds its place until it ends, in whatever way.
//
// A refused call has an error that wraps a *breaker.Error, whose code is Unavailable.
type Breaker struct {
	// Breaker guards all calls, if set.
	Breaker *breaker.Breaker
	// For returns the breaker for a call, if set, by its method, such as
	// "/helloworld.Greeter/SayHello"; path.Dir of it is the service. nil lets the call
	// pass unguarded. For takes precedence over Breaker.
	For func(ctx context.Context, method string) *breaker.Breaker
	// Config is that of the breakers made when neither Breaker nor For is set. Their name
	// is the authority. 1,024 of them are kept, as a breaker.Set does.
	Config breaker.Config

	// Classify gives the outcome of a call that ended with err, which may be nil, before
	// the table does. What both leave to the rules is for the Config.Classify of the
	// breaker, and then for the breaker's own rules. It is not asked about refusals and
	// the caller's own cancel, which are nobody's.
	Classify func(ctx context.Context, err error) breaker.Outcome

	once sync.Once
	set  *breaker.Set[string]
	err  error
}

// Unary is a grpc.UnaryClientInterceptor.
func (b *Breaker) Unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	guard, err := b.breaker(ctx, method, cc, opts)
	if err != nil {
		return err
	}
	if guard == nil {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	permit, err := guard.Allow()
	if err != nil {
		return refuse(err)
	}
	defer permit.Done(breaker.Failure) // of a panic: the first Done counts
	err = invoke(ctx, method, req, reply, cc, opts...)
	permit.Done(b.outcome(ctx, guard, err, req))
	return err
}

// Stream is a grpc.StreamClientInterceptor.
func (b *Breaker) Stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	guard, err := b.breaker(ctx, method, cc, opts)
	if err != nil {
		return nil, err
	}
	if guard == nil {
		return open(ctx, desc, cc, method, opts...)
	}
	h := &guarded{ctx: ctx, by: b, breaker: guard}
	if h.permit, err = guard.Allow(); err != nil {
		return nil, refuse(err)
	}
	return watch(ctx, h, desc, cc, method, open, opts)
}

// All returns the breakers that b has made, by authority.
func (b *Breaker) All() iter.Seq2[string, *breaker.Breaker] {
	b.once.Do(b.prepare)
	if b.set == nil {
		return func(func(string, *breaker.Breaker) bool) {}
	}
	return b.set.All()
}

// guarded is what a breaker holds for a stream.
type guarded struct {
	ctx     context.Context
	by      *Breaker
	breaker *breaker.Breaker
	permit  breaker.Permit
}

func (g *guarded) answered() { g.permit.Answered(breaker.Success) }

func (g *guarded) ended(err error) {
	o := breaker.Failure // if Classify panics
	defer func() { g.permit.Done(o) }()
	o = g.by.outcome(g.ctx, g.breaker, err, nil)
}

// breaker returns the one for a call, nil for none.
func (b *Breaker) breaker(ctx context.Context, method string, cc *grpc.ClientConn, opts []grpc.CallOption) (*breaker.Breaker, error) {
	switch {
	case b.For != nil:
		return b.For(ctx, method), nil
	case b.Breaker != nil:
		return b.Breaker, nil
	}
	if b.once.Do(b.prepare); b.err != nil {
		return nil, status.Error(codes.Internal, "grpcbelay: Breaker.Config: "+b.err.Error())
	}
	return b.set.Get(authority(cc, opts)), nil
}

func (b *Breaker) prepare() {
	if b.err = b.Config.Validate(); b.err != nil {
		return
	}
	b.set = breaker.NewSet(breaker.SetConfig[string]{MaxKeys: maxKeys, Config: func(authority string) breaker.Config {
		cfg := b.Config
		cfg.Name = authority
		return cfg
	}})
}

// outcome returns what err says; req is the message of a unary call.
func (b *Breaker) outcome(ctx context.Context, guard *breaker.Breaker, err error, req any) breaker.Outcome {
	if err != nil && nobodys(ctx, err) {
		return breaker.Ignored
	}
	if b.Classify != nil {
		if o := b.Classify(ctx, err); o != breaker.Default {
			return o
		}
	}
	if err == nil {
		return guard.Outcome(ctx, nil)
	}
	if req != nil && ownFault(err, nil) && !ownFault(err, req) {
		return guard.Outcome(ctx, err) // it is the answer that cannot be sent
	}
	if o := BreakerOutcome(ctx, err); o != breaker.Default {
		return o
	}
	return guard.Outcome(ctx, err)
}
