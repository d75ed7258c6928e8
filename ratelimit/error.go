package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Why a call was refused. All but ErrLimited are the Cause of an [Error].
var (
	// ErrLimited is found by [errors.Is] in every refusal.
	ErrLimited = errors.New("ratelimit: limited")
	// ErrDeadline says that the turn of the call would come after the deadline of its
	// context. The deadline itself has not passed.
	ErrDeadline = errors.New("ratelimit: no token before the deadline")
	// ErrFull says that there was no place: none in the queue or, for a call that
	// does not wait, none in the [Bulkhead].
	ErrFull = errors.New("ratelimit: no place is free")
	// ErrTooLarge says that the call asks for more than can ever be had at once.
	ErrTooLarge = errors.New("ratelimit: more than the limit holds")
	// ErrStore says that the Store of a [Shared] does not answer, and that OnFailure is
	// [FailClosed]. The Cause is the store's error, too.
	ErrStore = errors.New("ratelimit: the store of a shared limit does not answer")
)

// What is wrong with the zero value of a type.
const (
	limiterNotMade  = "ratelimit: a Limiter that was not made by New"
	keyedNotMade    = "ratelimit: a Keyed that was not made by NewKeyed"
	sharedNotMade   = "ratelimit: a Shared that was not made by NewShared"
	bulkheadNotMade = "ratelimit: a Bulkhead that was not made by NewBulkhead"
)

var (
	errLimiterNotMade  = errors.New(limiterNotMade)
	errKeyedNotMade    = errors.New(keyedNotMade)
	errSharedNotMade   = errors.New(sharedNotMade)
	errBulkheadNotMade = errors.New(bulkheadNotMade)
)

// Error is a refusal: the call was not made. Calls may share an Error; it must not be
// changed.
type Error struct {
	// Name is that of the limit, as its Config has it.
	Name string
	// Cause is ErrDeadline, ErrFull, ErrTooLarge, an error with ErrStore, the cause of
	// the context's end, the error of a foreign Waiter or Acquirer, or says that the
	// limit was not made by its constructor.
	Cause error

	after time.Duration
}

func (e *Error) Error() string {
	text := "ratelimit"
	if e.Name != "" {
		text = fmt.Sprintf("ratelimit %q", e.Name)
	}
	switch e.Cause {
	case ErrDeadline, ErrFull, ErrTooLarge, errLimiterNotMade, errKeyedNotMade, errSharedNotMade, errBulkheadNotMade:
		text += strings.TrimPrefix(e.Cause.Error(), "ratelimit")
	default:
		text = fmt.Sprintf("%s: refused: %v", text, e.Cause)
	}
	if e.after > 0 {
		text = fmt.Sprintf("%s, try again in %v", text, e.after)
	}
	return text
}

// Is reports whether target is [ErrLimited].
func (e *Error) Is(target error) bool { return target == ErrLimited }

// Unwrap returns Cause.
func (e *Error) Unwrap() error { return e.Cause }

// Rejected reports true: this process refused the call and sent nothing.
func (e *Error) Rejected() bool { return true }

// Retryable reports whether it is known when the call would have been let through:
// after RetryAfter another attempt can succeed.
func (e *Error) Retryable() bool {
	if e.after > 0 {
		return true
	}
	r, ok := errors.AsType[interface {
		error
		Retryable() bool
	}](e.Cause)
	return ok && r.Retryable()
}

// Timeout reports whether a deadline was the reason.
func (e *Error) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Cause)
	return ok && t.Timeout() || e.Cause == ErrDeadline
}

// RetryAfter returns after what time, from the refusal on, the call would have been let
// through. It is 0 if that is not known.
func (e *Error) RetryAfter() time.Duration { return e.after }

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (e *Error) LogValue() slog.Value {
	attrs := append(named(e.Name), slog.Any("cause", e.Cause))
	if e.after > 0 {
		attrs = append(attrs, slog.Duration("retry_after", e.after))
	}
	return slog.GroupValue(attrs...)
}

// unlimited is what waiting for no limit comes to.
func unlimited(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended("", ctx)
	}
	return nil
}

// ended is the refusal of a call whose context has ended.
func ended(name string, ctx context.Context) error {
	cause := context.Cause(ctx)
	if err := ctx.Err(); !errors.Is(cause, err) {
		cause = &endError{cause, err}
	}
	return &Error{Name: name, Cause: cause}
}

// An endError is the end of a context whose owner has given it a cause: both are found
// by errors.Is.
type endError struct{ cause, err error }

func (e *endError) Error() string   { return e.cause.Error() }
func (e *endError) Unwrap() []error { return []error{e.cause, e.err} }
