package loadbalance

import (
	"context"
	"errors"
)

// Errors found by [errors.Is] in what a Balancer refuses.
var (
	// ErrNoEndpoints: there is no set of endpoints yet, or nothing left of it.
	ErrNoEndpoints = errors.New("loadbalance: no endpoints")
	// ErrOverloaded: every endpoint has Config.MaxInFlight calls in flight.
	ErrOverloaded = errors.New("loadbalance: all endpoints are at their limit")
	// ErrClosed: the Balancer is closed.
	ErrClosed = errors.New("loadbalance: closed")
)

// Error is a refusal: no endpoint was picked, and nothing was sent.
type Error struct {
	Err   error // ErrNoEndpoints, ErrOverloaded or ErrClosed
	Cause error // why, if there is more to say: the source's error, or the context's
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Err.Error()
	}
	return e.Err.Error() + ": " + e.Cause.Error()
}

// Unwrap returns Err, and Cause if there is one.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Rejected reports true: this process refused the call and sent nothing.
func (e *Error) Rejected() bool { return true }

// Timeout reports whether the context's deadline passed while there was no set of
// endpoints yet.
func (e *Error) Timeout() bool { return errors.Is(e.Cause, context.DeadlineExceeded) }
