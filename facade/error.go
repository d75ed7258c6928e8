package facade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Error is what a call that has failed returns. [errors.Is] and [errors.As] find the
// errors of the part and of the undos, and [ErrIncomplete] where something is left.
type Error struct {
	Name    string   // Config.Name
	Part    string   // that failed; "" for assemble and the caller's context
	Err     error    // its error
	Others  []Reason // the other parts that have no value of their own
	Undone  []string // parts, in that order
	Undo    []error  // of undos that failed
	Unknown []string // parts that may have been done, and were not undone

	pivoted bool
	called  bool
}

func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString(label(e.Name, e.Part))
	fmt.Fprintf(&s, ": %v", e.Err)
	if len(e.Undone) > 0 {
		fmt.Fprintf(&s, " (undone: %s)", strings.Join(e.Undone, ", "))
	}
	if len(e.Unknown) > 0 {
		fmt.Fprintf(&s, " (outcome unknown: %s)", strings.Join(e.Unknown, ", "))
	}
	for _, err := range e.Undo {
		fmt.Fprintf(&s, " (%v)", err)
	}
	return s.String()
}

func label(name, part string) string {
	s := "facade"
	if name != "" {
		s = fmt.Sprintf("facade %q", name)
	}
	if part != "" {
		s += ": " + part
	}
	return s
}

// Unwrap returns ErrIncomplete if something is left to be undone, Err, and those of
// Undo.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.pivoted || len(e.Unknown)+len(e.Undo) > 0 {
		errs = append(errs, ErrIncomplete)
	}
	return append(append(errs, e.Err), e.Undo...)
}

// Rejected reports whether no part was called at all.
func (e *Error) Rejected() bool { return !e.called }

// Timeout reports whether a part's time, or the call's, was up or too short.
func (e *Error) Timeout() bool {
	if errors.Is(e.Err, ErrNoBudget) {
		return true
	}
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}

// PanicError is what Call panics with if a part has, on whichever goroutine.
type PanicError struct {
	Part  string // of the plan; of [First], [Quorum] and [Each] outside of one: ""
	Value any    // of the panic
	Stack []byte // of the goroutine that panicked
	Err   *Error // how the call ended; nil outside of one
}

// newPanicError names the part in what one of its goroutines has panicked with.
func newPanicError(part string, value any, stack []byte) *PanicError {
	if p, ok := value.(*PanicError); ok {
		if p.Part != "" {
			part += "/" + p.Part
		}
		return &PanicError{Part: part, Value: p.Value, Stack: p.Stack}
	}
	return &PanicError{Part: part, Value: value, Stack: stack}
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("%s: panic: %v\n\n%s", label("", e.Part), e.Value, e.Stack)
}

// Unwrap returns the panic's value, if that is an error, and Err.
func (e *PanicError) Unwrap() []error {
	var errs []error
	if err, ok := e.Value.(error); ok {
		errs = append(errs, err)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

var errExit = errors.New("facade: runtime.Goexit was called")

// timeout says that a time was up. err is what the function said then.
type timeout struct {
	after time.Duration
	err   error
}

func (e *timeout) Error() string { return fmt.Sprintf("no answer within %v", e.after) }
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

func (e *joined) Error() string {
	var s []string
	for _, err := range e.errs {
		s = append(s, err.Error())
	}
	return strings.Join(s, "; ")
}
