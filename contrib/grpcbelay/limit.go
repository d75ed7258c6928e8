package grpcbelay

import (
	"context"

	"github.com/belay-go/belay/ratelimit"
	"google.golang.org/grpc"
)

// Limit makes the calls of a client no faster, and no more at once, than limits allow.
// Its methods Unary and Stream are interceptors. The zero value does not limit. Its
// fields must not change after the first call. It is safe for concurrent use.
//
// A stream counts as one call. It takes a token when it is opened, and holds its place
// until it ends, in whatever way.
//
// A refused call has an error that wraps a *ratelimit.Error, whose code is
// ResourceExhausted, or that of the context if it has ended in the meantime.
type Limit struct {
	// Concurrency is asked first, and limits the calls under way, if set.
	Concurrency ratelimit.Acquirer
	// For returns what limits the calls under way for a method, such as
	// "/helloworld.Greeter/SayHello", if set; nil is no limit. For takes precedence over
	// Concurrency.
	For func(ctx context.Context, method string) ratelimit.Acquirer
	// Limiter is waited for before each call, if set.
	Limiter ratelimit.Waiter
	// Wait is called after that, if set, for limits that depend on the call.
	Wait func(ctx context.Context, method string) error
}

// Unary is a grpc.UnaryClientInterceptor.
func (l *Limit) Unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	permit, err := l.acquire(ctx, method)
	if err != nil {
		return refuse(err)
	}
	defer permit.Done()
	if err := l.wait(ctx, method); err != nil {
		return refuse(err)
	}
	err = invoke(ctx, method, req, reply, cc, opts...)
	permit.Answered(limitOutcome(ctx, &permit, err))
	return err
}

// Stream is a grpc.StreamClientInterceptor.
func (l *Limit) Stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if l.Concurrency == nil && l.For == nil {
		if err := l.wait(ctx, method); err != nil {
			return nil, refuse(err)
		}
		return open(ctx, desc, cc, method, opts...)
	}
	p := &placed{ctx: ctx}
	var err error
	if p.permit, err = l.acquire(ctx, method); err != nil {
		return nil, refuse(err)
	}
	passed := false
	defer func() {
		if !passed {
			p.permit.Done()
		}
	}()
	if err := l.wait(ctx, method); err != nil {
		return nil, refuse(err)
	}
	passed = true
	return watch(ctx, p, desc, cc, method, open, opts)
}

func (l *Limit) acquire(ctx context.Context, method string) (ratelimit.Permit, error) {
	a := l.Concurrency
	if l.For != nil {
		a = l.For(ctx, method)
	}
	if a == nil {
		return ratelimit.Permit{}, nil
	}
	return a.Acquire(ctx)
}

func (l *Limit) wait(ctx context.Context, method string) error {
	if l.Limiter != nil {
		if err := l.Limiter.Wait(ctx); err != nil {
			return err
		}
	}
	if l.Wait != nil {
		return l.Wait(ctx, method)
	}
	return nil
}

// placed is the place of a stream.
type placed struct {
	ctx    context.Context
	permit ratelimit.Permit
}

func (p *placed) answered() { p.permit.Answered(ratelimit.Success) }

func (p *placed) ended(err error) {
	defer p.permit.Done()
	if err == errUnwound {
		return // no sample
	}
	p.permit.Answered(limitOutcome(p.ctx, &p.permit, err))
}

func limitOutcome(ctx context.Context, p *ratelimit.Permit, err error) ratelimit.Outcome {
	if err == nil || nobodys(ctx, err) {
		return p.Outcome(ctx, err)
	}
	if o := LimitOutcome(ctx, err); o != ratelimit.Default {
		return o
	}
	return p.Outcome(ctx, err)
}
