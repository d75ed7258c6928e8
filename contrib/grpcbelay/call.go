package grpcbelay

import (
	"context"
	"reflect"
	"sync"

	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A call is a unary call and its attempts.
type call struct {
	by      *Retry
	method  string
	req     any
	reply   any
	cc      *grpc.ClientConn
	invoke  grpc.UnaryInvoker
	opts    []grpc.CallOption // the caller's
	finish  onFinish
	number  int                                     // of attempts so far that were alone
	alone   answerer                                // where those go
	attempt func(context.Context) (struct{}, error) // once, bound
}

// calls has those that have succeeded at once, for others.
var calls = sync.Pool{New: func() any {
	c := new(call)
	c.attempt = c.once
	c.alone.trailerOpt, c.alone.peerOpt = grpc.Trailer(&c.alone.trailer), grpc.Peer(&c.alone.peer)
	return c
}}

// free gives the call to others. Nobody must have it any more, which is sure only of one
// whose only attempt has succeeded.
func (c *call) free() {
	*c = call{attempt: c.attempt, alone: answerer{trailerOpt: c.alone.trailerOpt, peerOpt: c.alone.peerOpt}}
	calls.Put(c)
}

// An answerer is where the answer to an attempt goes.
type answerer struct {
	reply   any
	header  metadata.MD
	trailer metadata.MD
	peer    peer.Peer
	opts    []grpc.CallOption
	room    [8]grpc.CallOption

	trailerOpt, peerOpt grpc.CallOption
}

// once makes an attempt that is alone. It may write to where the caller wants to have it.
func (c *call) once(ctx context.Context) (struct{}, error) {
	a := &c.alone
	if c.number++; c.number == 1 {
		a.reply = c.reply
		a.opts = append(append(a.room[:0], c.opts...), a.trailerOpt, a.peerOpt)
	}
	return struct{}{}, c.ask(numbered(ctx, c.number), a)
}

// ask makes an attempt, and judges it for the rules of retry.
func (c *call) ask(ctx context.Context, a *answerer) error {
	a.trailer, a.peer = nil, peer.Peer{}
	err := c.invoke(ctx, c.method, c.req, a.reply, c.cc, a.opts...)
	if err == nil {
		return nil
	}
	return c.by.judge(ctx, c.method, err, a.peer.Addr != nil, a.trailer)
}

// hedged makes an attempt that others may join. Each has a reply, a header, a trailer and
// a peer of its own, and those of the one that counts go to the caller.
func (c *call) hedged(ctx context.Context) (struct{}, error) {
	a, err := retry.Hedge(ctx, c.by.Hedger, func(ctx context.Context) (*answerer, error) {
		number := 1
		if n, ok := retry.AttemptFrom(ctx); ok {
			number = n.Number
		}
		a := c.apart()
		return a, c.ask(numbered(ctx, number), a)
	}, nil)
	if a != nil {
		c.deliver(a, err == nil)
	}
	if e, ok := err.(*retry.Error); ok && !left(ctx, e.Cause) {
		err = e.Err // the policy decides what follows
	}
	return struct{}{}, err
}

// apart returns an answerer that shares nothing with others.
func (c *call) apart() *answerer {
	a := &answerer{reply: another(c.reply)}
	a.opts = a.room[:0]
	for _, o := range c.opts {
		switch o.(type) {
		case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption:
		default:
			a.opts = append(a.opts, o)
		}
	}
	a.opts = append(a.opts, grpc.Header(&a.header), grpc.Trailer(&a.trailer), grpc.Peer(&a.peer))
	return a
}

// deliver gives the caller the answer of a.
func (c *call) deliver(a *answerer, replied bool) {
	for _, o := range c.opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = a.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = a.trailer
		case grpc.PeerCallOption:
			*o.PeerAddr = a.peer
		}
	}
	if replied {
		move(c.reply, a.reply)
	}
}

// separable reports whether there can be another message of the type of m.
func separable(m any) bool {
	v := reflect.ValueOf(m)
	return v.Kind() == reflect.Pointer && !v.IsNil()
}

// another returns a new message of the type of m.
func another(m any) any {
	if p, ok := m.(proto.Message); ok {
		return p.ProtoReflect().New().Interface()
	}
	return reflect.New(reflect.TypeOf(m).Elem()).Interface()
}

// move makes to the same as from, which is not used afterwards.
func move(to, from any) {
	p, ok := to.(proto.Message)
	if !ok {
		reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem())
		return
	}
	dst, src := p.ProtoReflect(), from.(proto.Message).ProtoReflect()
	proto.Reset(p)
	src.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		dst.Set(field, v)
		return true
	})
	dst.SetUnknown(src.GetUnknown())
}
