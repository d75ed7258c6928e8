package facade

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// timeout says that a time was up. err is what the function said then.
type timeout struct {
	after time.Duration
	early time.Duration // when the function's context ended; 0: it did not obey
	err   error
}

func (e *timeout) Error() string {
	s := fmt.Sprintf("no answer within %v", e.after)
	if e.early > 0 {
		s += fmt.Sprintf(" (its context ended after %v)", e.early)
	}
	return s
}

func (e *timeout) Timeout() bool { return true }
func (e *timeout) Unwrap() error { return e.err }
func (e *timeout) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

// skipped says that a part has no value that another needs.
type skipped struct {
	part string
	err  error
}

func (e *skipped) Error() string        { return e.part + " has no value" }
func (e *skipped) Unwrap() error        { return e.err }
func (e *skipped) Is(target error) bool { return target == ErrSkipped }

// stopped is why the contexts of the other parts end: the call has failed.
type stopped struct {
	name, part string
	err        error
}

func (e *stopped) Error() string { return fmt.Sprintf("%s: %v", label(e.name, e.part), e.err) }
func (e *stopped) Unwrap() error { return e.err }

// fallbackError says that the fallback has failed, too.
type fallbackError struct{ err, fallback error }

func (e *fallbackError) Error() string   { return fmt.Sprintf("%v; fallback: %v", e.err, e.fallback) }
func (e *fallbackError) Unwrap() []error { return []error{e.err, e.fallback} }

type undoError struct {
	part string
	err  error
}

func (e *undoError) Error() string { return fmt.Sprintf("undo of %s: %v", e.part, e.err) }
func (e *undoError) Unwrap() error { return e.err }

// join is errors.Join on one line. A single error is returned as it is.
func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return &joined{errs}
}

type joined struct{ errs []error }

func (e *joined) Unwrap() []error { return e.errs }
func (e *joined) Error() string   { return strings.Join(texts(e.errs), "; ") }
