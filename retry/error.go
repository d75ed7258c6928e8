package retry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Why a retry was not made. They are the Cause of an [Error].
var (
	// ErrExhausted says that all attempts were made.
	ErrExhausted = errors.New("retry: no attempts left")
	// ErrBudget says that the client's own [Budget] is empty. The server has not
	// refused anything.
	ErrBudget = errors.New("retry: client-side retry budget is empty")
	// ErrDeadline says that the next attempt could only begin after the
	// context's deadline. The deadline itself has not passed.
	ErrDeadline = errors.New("retry: no time for another attempt before the deadline")
	// ErrMaxElapsed says that the next attempt could only begin after
	// Config.MaxElapsed.
	ErrMaxElapsed = errors.New("retry: no time for another attempt before MaxElapsed")
	// ErrRetryAfter says that the server asks for a wait above MaxRetryAfter.
	ErrRetryAfter = errors.New("retry: server asks to wait longer than MaxRetryAfter")
)

// ErrAttemptTimeout is the cause with which the context of an attempt ends after
// Config.AttemptTimeout. It is a [context.DeadlineExceeded], too.
var ErrAttemptTimeout error = attemptTimeout{}

type attemptTimeout struct{}

func (attemptTimeout) Error() string        { return "retry: attempt took longer than AttemptTimeout" }
func (attemptTimeout) Timeout() bool        { return true }
func (attemptTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// errRequestCanceled is the cause of a call whose caller has closed Request.Cancel.
var errRequestCanceled = fmt.Errorf("retry: Request.Cancel was closed: %w", context.Canceled)

// Error is what a call returns after a second attempt was made or refused. Both
// Err and Cause are found by [errors.Is] and [errors.As], and the errors of earlier
// attempts by errors.Is. An operation whose first attempt fails with a final error
// returns that error instead.
//
// If a layer below refuses an attempt (Rejected reports true) after another one was
// sent, Err is the error of the one that was sent and Cause is the refusal.
type Error struct {
	Attempts int           // attempts that were sent
	Elapsed  time.Duration // since the first attempt failed, or a hedged call began
	Err      error         // the operation's error in the last of them
	Earlier  []error       // its errors before that, the latest 15 at most
	Cause    error         // why no other attempt followed; nil if Err is final
}

func (e *Error) Error() string {
	s := fmt.Sprintf("retry: gave up after %d attempts: %v", e.Attempts, e.Err)
	if e.Attempts == 1 {
		s = fmt.Sprintf("retry: gave up after 1 attempt: %v", e.Err)
	}
	if e.Cause != nil && e.Cause != ErrExhausted {
		s += " (" + e.Cause.Error() + ")"
	}
	return s
}

// Is reports whether target is the error of an earlier attempt. How the call itself
// ended is told by Err and Cause alone, so the errors of contexts are not looked
// for in the earlier ones.
func (e *Error) Is(target error) bool {
	return target != context.Canceled && target != context.DeadlineExceeded &&
		slices.ContainsFunc(e.Earlier, func(err error) bool { return errors.Is(err, target) })
}

// Unwrap returns Err and Cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Retryable reports false: what has been retried here is not retried again by
// a caller that retries too, which would multiply the attempts.
func (e *Error) Retryable() bool { return false }

// Timeout reports whether the last attempt timed out, or the context did while
// the next one was waited for.
func (e *Error) Timeout() bool {
	for _, err := range e.Unwrap() {
		if t, ok := errors.AsType[timeouter](err); ok && t.Timeout() {
			return true
		}
	}
	return false
}

// Rejected reports whether no attempt was sent, as layers below refused each.
func (e *Error) Rejected() bool { return e.Attempts == 0 }

// LogValue implements [slog.LogValuer]. It has the fields that apply.
func (e *Error) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 5)
	attrs = append(attrs, slog.Int("attempts", e.Attempts), slog.Duration("elapsed", e.Elapsed))
	attrs = withErrors(attrs, e.Err, e.Cause)
	if len(e.Earlier) > 0 {
		attrs = append(attrs, slog.String("earlier", errors.Join(e.Earlier...).Error()))
	}
	return slog.GroupValue(attrs...)
}
