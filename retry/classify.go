package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A verdict is what is to be done about one failed attempt.
type verdict struct {
	stop     bool
	rejected bool          // nothing was sent: free of delay and budget
	atOnce   bool          // without the schedule's delay
	after    time.Duration // the least delay; <= 0: as scheduled
}

// classify applies the rules of the package documentation; by is Config.Classify.
func classify(ctx context.Context, by func(context.Context, error) Decision, err error) verdict {
	if ctx.Err() != nil {
		return verdict{stop: true}
	}
	if m, ok := errors.AsType[*marked](err); ok {
		// A mark inside another retry's Error was for that one.
		_, nested := errors.AsType[*Error](err)
		_, outside := errors.AsType[*Error](m.error)
		if !nested || outside {
			return verdict{stop: !m.retry, after: m.after}
		}
	}
	if _, ok := errors.AsType[*backoff.PermanentError](err); ok {
		return verdict{stop: true}
	}
	after := retryAfter(err)
	if by != nil {
		switch by(ctx, err) {
		case Retry:
			return verdict{after: after}
		case Stop:
			return verdict{stop: true}
		}
	}
	if r, ok := errors.AsType[rejecter](err); ok && r.Rejected() {
		return verdict{rejected: true}
	}
	if r, ok := errors.AsType[retryabler](err); ok {
		return verdict{stop: !r.Retryable(), after: after}
	}
	if after > 0 {
		return verdict{after: after}
	}
	if s, ok := errors.AsType[statusCoder](err); ok {
		return verdict{stop: !retryStatus(s.HTTPStatusCode())}
	}
	return verdict{}
}

// The shapes in which errors of all packages say what they know.
type (
	rejecter interface {
		error
		Rejected() bool
	}
	retryabler interface {
		error
		Retryable() bool
	}
	statusCoder interface {
		error
		HTTPStatusCode() int
	}
)

// retryAfter returns the first positive hint in err's tree. An error that has
// the method but no hint does not hide one below it.
func retryAfter(err error) time.Duration {
	if h, ok := err.(interface{ RetryAfter() time.Duration }); ok {
		if d := h.RetryAfter(); d > 0 {
			return d
		}
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if inner := u.Unwrap(); inner != nil {
			return retryAfter(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			if d := retryAfter(inner); d > 0 {
				return d
			}
		}
	}
	return 0
}
