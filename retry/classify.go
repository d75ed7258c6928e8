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
	answered bool          // the backend is well: the budget is fed as by a success
	rejected bool          // a layer below refused the attempt: nothing was sent
	free     bool          // the next attempt costs the budget nothing
	atOnce   bool          // the schedule has no say
	idle     bool          // the connection was closed while it had no request: not counted
	after    time.Duration // the least delay; <= 0: as scheduled
}

// classify applies the rules of the package documentation; by is Config.Classify.
func classify(ctx context.Context, by func(context.Context, error) Decision, err error) verdict {
	if v, ok := decided(ctx, by, err); ok {
		return v
	}
	return byRules(err)
}

// decided returns the verdict where somebody decides before the rules about errors
// do: the caller by leaving, by a mark on the error, or by Config.Classify.
func decided(ctx context.Context, by func(context.Context, error) Decision, err error) (v verdict, ok bool) {
	v.rejected = rejected(err)
	v.free = v.rejected
	if ctx.Err() != nil {
		v.stop = true
		return v, true
	}
	if m, ok := mark(err); ok {
		v.after = m.after
		return v.decide(m.retry, err), true
	}
	if _, ok := errors.AsType[*backoff.PermanentError](err); ok {
		return v.decide(false, err), true
	}
	if by != nil {
		if d := by(ctx, err); d != Default {
			v.after = retryAfter(err)
			return v.decide(d == Retry, err), true
		}
	}
	return v, false
}

// byRules decides by what the error says about itself.
func byRules(err error) verdict {
	v := verdict{rejected: rejected(err), after: retryAfter(err)}
	v.free = v.rejected
	r, ok := errors.AsType[retryabler](err)
	code := status(err)
	switch {
	case v.rejected:
		v.stop = !ok || !r.Retryable()
		v.atOnce = v.after <= 0
		return v
	case ok:
		v.stop = !r.Retryable()
	case v.after > 0:
	case code > 0:
		v.stop = !retryStatus(code)
	}
	v.answered = v.stop && code > 0 && code < 500
	return v
}

// decide completes a verdict by what somebody who knows has said. An error that
// is final for such a reason is an answer, unless it is a status of 500 and above
// or comes from the network.
func (v verdict) decide(retry bool, err error) verdict {
	v.stop = !retry
	if code := status(err); code > 0 {
		v.answered = v.stop && code < 500
	} else {
		_, network := errors.AsType[timeouter](err)
		v.answered = v.stop && !network && !v.rejected
	}
	return v
}

// mark returns the mark of Permanent or After that counts for this retry. One
// inside another retry's Error was for that one.
func mark(err error) (*marked, bool) {
	m, ok := errors.AsType[*marked](err)
	if !ok {
		return nil, false
	}
	_, nested := errors.AsType[*Error](err)
	_, outside := errors.AsType[*Error](m.error)
	return m, !nested || outside
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
	timeouter interface {
		error
		Timeout() bool
	}
)

func rejected(err error) bool {
	r, ok := errors.AsType[rejecter](err)
	return ok && r.Rejected()
}

// status returns the status of the response that err stands for, 0 if it is none.
func status(err error) int {
	if s, ok := errors.AsType[statusCoder](err); ok {
		return s.HTTPStatusCode()
	}
	return 0
}

// retryAfter returns the first positive hint in err's tree. An error that has
// the method but no hint does not hide one below it.
func retryAfter(err error) (after time.Duration) {
	walk(err, func(err error) bool {
		if h, ok := err.(interface{ RetryAfter() time.Duration }); ok {
			after = h.RetryAfter()
		}
		return after > 0
	})
	return max(after, 0)
}

// walk visits err's tree in the order of errors.Is until visit reports true.
func walk(err error, visit func(error) bool) bool {
	if err == nil {
		return false
	}
	if visit(err) {
		return true
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return walk(u.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			if walk(inner, visit) {
				return true
			}
		}
	}
	return false
}
