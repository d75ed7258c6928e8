package grpcbelay

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// Server keeps a server from doing more than it can, or than a client may ask for. Its
// methods Unary and Stream are interceptors, and refuse a call before its handler runs.
// The zero value does not limit. Its fields must not change after the first call. It is
// safe for concurrent use.
//
// A call that Take refuses has the status ResourceExhausted, and one that Concurrency
// refuses Unavailable, so that clients take it for an overload of this server and try
// another. A RetryInfo says when to come back, and so does a grpc-retry-pushback-ms in
// the trailer, which the retries of gRPC itself obey in all languages.
//
// What handlers return is passed on as [Status] says: a refusal that a handler has met on
// its way is no Unknown for the client.
type Server struct {
	// Take is asked about each call, if set: for a Limiter, or for a Keyed by the client,
	// the tenant, the method. To try a limit without enforcing it, return
	// ratelimit.Decision{OK: true}.
	Take func(ctx context.Context, method string) ratelimit.Decision
	// Concurrency limits the calls under way, if set. The place of a call is free again
	// when its handler has returned. A limit that learns is told Success then, but
	// Ignored if the client has left, and Failure if the deadline has passed.
	Concurrency ratelimit.Acquirer
	// Exempt reports which methods are not limited. nil means those of gRPC's own
	// services for health checks and reflection.
	Exempt func(method string) bool
}

// Unary is a grpc.UnaryServerInterceptor.
func (s *Server) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	permit, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		err = refusedBy(ctx, err)
		grpc.SetTrailer(ctx, pushbackOf(err))
		return nil, err
	}
	defer permit.Done()
	resp, err := handle(ctx, req)
	permit.Answered(handled(ctx))
	return resp, passedOn(err)
}

// Stream is a grpc.StreamServerInterceptor.
func (s *Server) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	permit, err := s.admit(stream.Context(), info.FullMethod)
	if err != nil {
		err = refusedBy(stream.Context(), err)
		stream.SetTrailer(pushbackOf(err))
		return err
	}
	defer permit.Done()
	err = handle(srv, stream)
	permit.Answered(handled(stream.Context()))
	return passedOn(err)
}

// Tap is a tap.ServerInHandle, for grpc.InTapHandle, which asks Take before a call has a
// goroutine and its message is read. Its refusals cost a little less than those of the
// interceptors, and have no trailer. Take must return soon, as the whole connection waits
// for it. Do not give Take to the interceptors as well, which would ask it twice: have one
// Server for the Tap and another for Concurrency.
func (s *Server) Tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	return ctx, s.take(ctx, info.FullMethodName)
}

// admit asks both limits.
func (s *Server) admit(ctx context.Context, method string) (ratelimit.Permit, error) {
	if err := s.take(ctx, method); err != nil {
		return ratelimit.Permit{}, err
	}
	if s.Concurrency == nil || s.exempt(method) {
		return ratelimit.Permit{}, nil
	}
	return s.Concurrency.Acquire(ctx)
}

// refusedBy is the error of a call that Take, or Concurrency, has refused with err.
func refusedBy(ctx context.Context, err error) error {
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err // by Take
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return withRetryInfo(status.New(codes.Unavailable, err.Error()), cmp.Or(hint(err), time.Second)).Err()
}

func (s *Server) take(ctx context.Context, method string) error {
	if s.Take == nil || s.exempt(method) {
		return nil
	}
	d := s.Take(ctx, method)
	if d.OK {
		return nil
	}
	text := "rate limited"
	if d.Name != "" {
		text = d.Name + ": " + text
	}
	return withRetryInfo(status.New(codes.ResourceExhausted, text), d.RetryAfter).Err()
}

func (s *Server) exempt(method string) bool {
	if s.Exempt != nil {
		return s.Exempt(method)
	}
	return strings.HasPrefix(method, "/grpc.health.v1.Health/") || strings.HasPrefix(method, "/grpc.reflection.v1")
}

// pushbackOf is the trailer for a refusal.
func pushbackOf(err error) metadata.MD {
	after := RetryAfter(err)
	if after <= 0 {
		return nil
	}
	return metadata.Pairs(pushback, strconv.FormatInt(int64(math.Ceil(float64(after)/float64(time.Millisecond))), 10))
}

// handled is how a call ended for a limit that learns.
func handled(ctx context.Context) ratelimit.Outcome {
	switch ctx.Err() {
	case nil:
		return ratelimit.Success
	case context.DeadlineExceeded:
		return ratelimit.Failure
	}
	return ratelimit.Ignored
}

// passedOn returns the error of a handler with the status that Status gives it.
func passedOn(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok && !rejected(err) {
		return err
	}
	return Status(err).Err()
}

// ClientIP returns a function that gives the address of a call's client, as
// [ratelimit.ClientIP] does for requests: that of the peer or, if the peer is a trusted
// proxy, the last address in the metadata's x-forwarded-for that is not. All of an IPv6
// /64 is one client.
func ClientIP(trusted ...netip.Prefix) func(context.Context) netip.Addr {
	of := ratelimit.ClientIP(trusted...)
	return func(ctx context.Context) netip.Addr {
		var req http.Request
		if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
			req.RemoteAddr = p.Addr.String()
		}
		if len(trusted) > 0 {
			req.Header = http.Header{"X-Forwarded-For": metadata.ValueFromIncomingContext(ctx, "x-forwarded-for")}
		}
		return of(&req)
	}
}
