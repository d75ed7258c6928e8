package grpcbelay

import (
	"context"
	"errors"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/ratelimit"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Status returns the status by which a server passes err on to its client. A status in
// err stays what it is. A refusal of this process (an error with Rejected() bool) becomes
// ResourceExhausted if a rate or concurrency limit has refused, and Unavailable if
// anything else has, such as an open breaker; a RetryInfo says when to come back, if that
// is known. The end of a context becomes Canceled or DeadlineExceeded, and everything
// else Unknown. Status(nil) is nil, which is OK.
//
// The errors of this package's interceptors have that status themselves, and a handler
// returns them as they are. It is for what a handler calls with Do.
func Status(err error) *status.Status {
	if err == nil {
		return nil
	}
	if s, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return s.GRPCStatus()
	}
	if rejected(err) {
		return refused(err)
	}
	if s, ok := status.FromError(err); ok {
		return s
	}
	return status.FromContextError(ended(err))
}

// ended returns the end of a context that err stands for, or err.
func ended(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return err
}

// refused is the status of a refusal.
func refused(err error) *status.Status {
	code := codes.Unavailable
	switch {
	case errors.Is(err, breaker.ErrOpen): // its cause may be anything
	case ended(err) != err:
		return status.New(status.FromContextError(ended(err)).Code(), err.Error())
	case errors.Is(err, ratelimit.ErrLimited):
		code = codes.ResourceExhausted
	}
	return withRetryInfo(status.New(code, err.Error()), hint(err))
}

// withRetryInfo adds when to come back, if that is known.
func withRetryInfo(s *status.Status, after time.Duration) *status.Status {
	if after <= 0 {
		return s
	}
	if with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); err == nil {
		return with
	}
	return s
}

// hint returns the first RetryAfter in the tree of err that says something.
func hint(err error) time.Duration {
	switch e := err.(type) {
	case nil:
		return 0
	case interface{ RetryAfter() time.Duration }:
		if after := e.RetryAfter(); after > 0 {
			return after
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return hint(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if after := hint(inner); after > 0 {
				return after
			}
		}
	}
	return 0
}

// A callError is the error of a call to which a layer had something to add. Its status is
// what status.Convert and a server that passes it on see: without the layer's words if
// the other side has sent it.
type callError struct {
	error
	status *status.Status // nil: Status of error
}

// refuse returns err, a refusal, as the error of a call.
func refuse(err error) error { return &callError{error: err} }

func (e *callError) Unwrap() error { return e.error }

// GRPCStatus returns the status of the call. It is made when it is asked for, since most
// refusals never leave their process.
func (e *callError) GRPCStatus() *status.Status {
	if e.status != nil {
		return e.status
	}
	return Status(e.error)
}
