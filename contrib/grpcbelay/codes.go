package grpcbelay

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// meaning is what a code says about the server that has sent it.
type meaning uint8

const (
	answer   meaning = iota // the server is well, and the caller has its answer
	wait                    // the caller has had enough for now
	canceled                // somebody below the caller did not want the call any more
	trouble                 // the server has failed, in a way that may last or has had effects
	outage                  // the server has failed, in a way that may be over soon
)

// meanings has the codes that are no plain answer.
var meanings = map[codes.Code]meaning{
	codes.Canceled:          canceled,
	codes.Unknown:           trouble,
	codes.DeadlineExceeded:  outage,
	codes.ResourceExhausted: wait,
	codes.Internal:          trouble,
	codes.Unavailable:       outage,
	codes.DataLoss:          trouble,
}

// httpStatus has the counterparts of the codes in HTTP, as google.rpc.Code gives them.
var httpStatus = [...]int{
	codes.OK: 200, codes.Canceled: 499, codes.Unknown: 500, codes.InvalidArgument: 400,
	codes.DeadlineExceeded: 504, codes.NotFound: 404, codes.AlreadyExists: 409,
	codes.PermissionDenied: 403, codes.ResourceExhausted: 429, codes.FailedPrecondition: 400,
	codes.Aborted: 409, codes.OutOfRange: 400, codes.Unimplemented: 501, codes.Internal: 500,
	codes.Unavailable: 503, codes.DataLoss: 500, codes.Unauthenticated: 401,
}

// meaningOf returns what err means. ok is false if it is no status, so that the rules
// of the packages fit better than a code.
func meaningOf(err error) (m meaning, ok bool) {
	s, ok := status.FromError(err)
	if !ok || err == nil {
		return 0, false
	}
	return meanings[s.Code()], true
}

// BreakerOutcome is a breaker.Config.Classify by the code of a status: the second column
// of the table in the package documentation. [Breaker] asks it.
func BreakerOutcome(_ context.Context, err error) breaker.Outcome {
	switch m, ok := meaningOf(err); {
	case !ok:
		return breaker.Default
	case m == answer:
		return breaker.Success
	case m == wait, ownFault(err, nil):
		return breaker.Ignored
	}
	return breaker.Default // a failure, unless the caller has cancelled
}

// BalancerOutcome is a loadbalance.Config.Classify by the code of a status: the fourth
// column of the table. A [Balancer] asks it.
func BalancerOutcome(_ context.Context, err error) loadbalance.Outcome {
	switch m, ok := meaningOf(err); {
	case !ok:
		return loadbalance.Default
	case m == answer:
		return loadbalance.Success
	case m == wait, ownFault(err, nil):
		return loadbalance.Ignored
	case m == outage && RetryAfter(err) > 0:
		return loadbalance.Overload
	}
	return loadbalance.Default
}

// LimitOutcome says by the code of a status how a call was answered, for a limit that
// learns from it. [Limit] asks it, and an Acquirer of your own can.
func LimitOutcome(_ context.Context, err error) ratelimit.Outcome {
	switch m, ok := meaningOf(err); {
	case !ok:
		return ratelimit.Default
	case m == answer:
		return ratelimit.Success
	case ownFault(err, nil):
		return ratelimit.Ignored
	case m == wait, m == outage && RetryAfter(err) > 0:
		return ratelimit.Overload
	}
	return ratelimit.Default
}

// RetryDecision is a retry.Config.Classify by the code of a status: the third column of
// the table, for calls that may run twice. [Retry] does more: it knows which methods may,
// whether a call has left, and how long the server wants to be left alone.
func RetryDecision(_ context.Context, err error) retry.Decision {
	switch m, ok := meaningOf(err); {
	case !ok:
		return retry.Default
	case m == outage, m == wait && !ownFault(err, nil):
		return retry.Default
	}
	return retry.Stop
}

// RetryAfter returns the delay of the RetryInfo in the status of err, 0 if there is none.
func RetryAfter(err error) time.Duration {
	delay, _ := retryInfo(err)
	return delay
}

// retryInfo also tells a RetryInfo that asks for no delay from none.
func retryInfo(err error) (delay time.Duration, ok bool) {
	s, _ := status.FromError(err)
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(info.GetRetryDelay().AsDuration(), 0), true
		}
	}
	return 0, false
}

// ownFaults are what the errors say that gRPC makes of what the caller wants to send. No
// other attempt fares better. A server that gets too large a message says the same.
var ownFaults = [...]struct {
	code codes.Code
	text string
}{
	{codes.Internal, encoding},
	{codes.Internal, "header key "},
	{codes.Internal, "there is an empty key in the header"},
	{codes.ResourceExhausted, "larger than max"},
	{codes.ResourceExhausted, "message too large"},
}

const encoding = "grpc: error while marshaling"

// ownFault reports whether err is about what the caller wants to send. msg is the message
// if it is known: a server that cannot encode its answer says what a client says that
// cannot encode its request.
func ownFault(err error, msg any) bool {
	s, _ := status.FromError(err)
	for _, f := range ownFaults {
		if s.Code() != f.code || !strings.Contains(s.Message(), f.text) {
			continue
		}
		if m, ok := msg.(proto.Message); ok && f.text == encoding {
			_, err := proto.Marshal(m)
			return err != nil
		}
		return true
	}
	return false
}

// nobodys reports whether err says nothing about the server: this process has refused
// the call, or the caller has cancelled it. The cause of the context tells a cancel from
// a deadline that a layer has set by way of a cancel.
func nobodys(ctx context.Context, err error) bool {
	if rejected(err) {
		return true
	}
	return ctx.Err() == context.Canceled && !timedOut(context.Cause(ctx))
}

func rejected(err error) bool {
	r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err)
	return ok && r.Rejected()
}

func timedOut(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}
