package grpcbelay

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The metadata by which client and server speak of attempts (gRFC A6).
const (
	previousAttempts = "grpc-previous-rpc-attempts"
	pushback         = "grpc-retry-pushback-ms"
)

// numbered returns ctx for an attempt, with what the server is told about those before.
func numbered(ctx context.Context, number int) context.Context {
	if number < 2 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, previousAttempts, strconv.Itoa(number-1))
}

// An attemptError is the error of an attempt, with what the rules of retry want to know.
type attemptError struct {
	error
	again bool
	after time.Duration
}

func (e *attemptError) Unwrap() error              { return e.error }
func (e *attemptError) Retryable() bool            { return e.again }
func (e *attemptError) RetryAfter() time.Duration  { return e.after }
func (e *attemptError) GRPCStatus() *status.Status { return Status(e.error) }

// HTTPStatusCode returns the counterpart in HTTP, by which an answer is told from a
// failure.
func (e *attemptError) HTTPStatusCode() int {
	if code := status.Code(e.error); int(code) < len(httpStatus) {
		return httpStatus[code]
	}
	return 0
}

// judge returns err, the end of an attempt, for the rules of retry. sent says that the
// attempt may have reached a server; trailer is what came back.
func (r *Retry) judge(ctx context.Context, method string, err error, sent bool, trailer metadata.MD) error {
	if err == nil || rejected(err) || ctx.Err() == context.Canceled && !timedOut(context.Cause(ctx)) {
		return err
	}
	e := &attemptError{error: err}
	info, invited := retryInfo(err)
	e.after = info
	push, asked, forbidden := pushed(trailer)
	if asked {
		e.after, invited = max(e.after, push), true
	}
	may := r.idempotent(method) || invited || !sent && status.Code(err) == codes.Unavailable
	decision := retry.Default
	if r.Classify != nil {
		decision = r.Classify(ctx, err)
	}
	switch {
	case forbidden || !may || decision == retry.Stop:
	case decision == retry.Default:
		m, ok := meaningOf(err)
		e.again = !ok || m == outage || m == wait && !ownFault(err, nil)
	default:
		e.again = true
	}
	return e
}

// pushed returns what a server says in its trailer about another attempt.
func pushed(trailer metadata.MD) (after time.Duration, asked, forbidden bool) {
	values := trailer[pushback]
	if len(values) == 0 {
		return 0, false, false
	}
	ms, err := strconv.ParseInt(values[0], 10, 32)
	if err != nil || ms < 0 || len(values) > 1 {
		return 0, false, true
	}
	return time.Duration(ms) * time.Millisecond, true, false
}

// idempotent reports whether a method may be called twice.
func (r *Retry) idempotent(method string) bool {
	return declared(method) || r.Idempotent != nil && r.Idempotent(method)
}

// declared reports whether the proto of a method says that it is idempotent.
func declared(method string) bool {
	d := descriptor(method)
	if d == nil {
		return false
	}
	o, ok := d.Options().(*descriptorpb.MethodOptions)
	return ok && o.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}

// descriptor returns that of a method, nil if this process does not have it.
func descriptor(method string) protoreflect.MethodDescriptor {
	service, name, ok := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if !ok {
		return nil
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + name))
	if err != nil {
		return nil
	}
	m, _ := d.(protoreflect.MethodDescriptor)
	return m
}

// final returns the error of a call, which may have had many attempts.
func final(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*attemptError); ok {
		return e.error
	}
	if e, ok := err.(*retry.Error); ok {
		if left(ctx, e.Cause) {
			return &callError{error: err, status: status.New(status.FromContextError(ctx.Err()).Code(), err.Error())}
		}
		return &callError{error: err, status: Status(e.Err)}
	}
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err
	}
	if left(ctx, err) { // before the first attempt
		return &callError{error: err, status: status.New(status.FromContextError(ctx.Err()).Code(), err.Error())}
	}
	return refuse(err)
}

// left reports whether cause is why ctx has ended.
func left(ctx context.Context, cause error) bool {
	return ctx.Err() != nil && cause != nil && errors.Is(cause, context.Cause(ctx))
}
