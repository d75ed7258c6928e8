package retry

import (
	"errors"
	"fmt"
	"time"
)

// Error is what a call returns after a second attempt was made or refused. Both
// Last and Cause are found by [errors.Is] and [errors.As]. An operation that
// fails for good on its first attempt returns its own error instead.
type Error struct {
	Attempts int           // attempts made
	Elapsed  time.Duration // since the first attempt failed, or a hedged call began
	Last     error         // the operation's error in its last attempt
	Cause    error         // why no other followed; nil if Last was final
}

func (e *Error) Error() string {
	s := fmt.Sprintf("retry: gave up after attempt %d: %v", e.Attempts, e.Last)
	if e.Cause != nil && e.Cause != ErrExhausted {
		s += " (" + e.Cause.Error() + ")"
	}
	return s
}

// Unwrap returns Last and Cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Last}
	}
	return []error{e.Last, e.Cause}
}

// Retryable reports false: what has been retried here is not retried again by
// a caller that retries too, which would multiply the attempts.
func (e *Error) Retryable() bool { return false }

// Timeout reports whether the last attempt timed out, or the context did while
// the next one was waited for.
func (e *Error) Timeout() bool {
	for _, err := range e.Unwrap() {
		if t, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err); ok && t.Timeout() {
			return true
		}
	}
	return false
}

// Rejected reports false: at least one attempt was sent.
func (e *Error) Rejected() bool { return false }

// Permanent marks err as final. [Do] returns err itself, without the mark.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &marked{error: err}
}

// After marks err as worth another attempt, no sooner than in d. A d of 0 or
// less leaves the delay to the schedule. After(d, nil) is nil.
func After(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &marked{error: err, retry: true, after: d}
}

// marked is an error whose fate its maker has decided.
type marked struct {
	error
	retry bool
	after time.Duration
}

func (m *marked) Unwrap() error             { return m.error }
func (m *marked) Retryable() bool           { return m.retry }
func (m *marked) RetryAfter() time.Duration { return m.after }
