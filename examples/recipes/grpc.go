package recipes

import (
	"context"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/retry"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GRPCOutcome is a breaker.Config.Classify. ResourceExhausted speaks of the caller's
// quota, as 429 does. All other codes are answers of a server that is well.
func GRPCOutcome(_ context.Context, err error) breaker.Outcome {
	switch status.Code(err) {
	case codes.Unknown, codes.DeadlineExceeded, codes.Internal, codes.Unavailable, codes.DataLoss:
		return breaker.Default
	case codes.ResourceExhausted:
		return breaker.Ignored
	}
	return breaker.Success
}

// GRPCDecision is a retry.Config.Classify, for methods that may run twice.
func GRPCDecision(_ context.Context, err error) retry.Decision {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted:
		return retry.Default
	}
	return retry.Stop
}

// GRPCPushback adds to err the time that the server wants to be left alone, if it has
// sent a RetryInfo.
func GRPCPushback(err error) error {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return retry.After(info.GetRetryDelay().AsDuration(), err)
		}
	}
	return err
}

// GRPCInterceptor guards all unary calls of a connection. Streams are begun in one
// place and end in another: breaker.Breaker.Allow is for them.
func GRPCInterceptor(p *retry.Policy, b *breaker.Breaker) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return retry.Run(ctx, p, func(ctx context.Context) error {
			return GRPCPushback(breaker.Run(ctx, b, func(ctx context.Context) error {
				return invoke(ctx, method, req, reply, cc, opts...)
			}))
		})
	}
}
