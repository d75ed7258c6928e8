package retry

import "time"

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

// marked is an error about which its maker has decided.
type marked struct {
	error
	retry bool
	after time.Duration
	own   bool // the caller's own fault: it says nothing about the backend
}

func (m *marked) Unwrap() error             { return m.error }
func (m *marked) Retryable() bool           { return m.retry }
func (m *marked) RetryAfter() time.Duration { return m.after }

// unmarked returns err without the mark, if it has one on its outside.
func unmarked(err error) error {
	if m, ok := err.(*marked); ok {
		return m.error
	}
	return err
}
