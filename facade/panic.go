package facade

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

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

// Error returns the value and the stack, on many lines. The texts of other errors
// that hold a PanicError have the value only.
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

// panicked is a PanicError among other errors: on one line, without the stack.
type panicked struct{ *PanicError }

func (e panicked) Error() string {
	value, _, _ := strings.Cut(fmt.Sprint(e.Value), "\n")
	return "panic: " + value
}

func (e panicked) Unwrap() error { return e.PanicError }

// errExit is the error of user code that has called [runtime.Goexit].
var errExit = errors.New("facade: runtime.Goexit was called")

func newPanicked(part string, value any) error {
	return panicked{newPanicError(part, value, debug.Stack())}
}

// ending is how user code ends.
type ending uint8

const (
	returned ending = iota
	crashed         // by a panic
	exited          // by runtime.Goexit
)

// guard calls f, and then ended with what it has returned. ended is also called if f
// panics or exits, with an error that says so, unless nobody is to be told: then a
// panic takes its course.
func guard(part string, heard func() bool, f func() error, ended func(err error, how ending)) {
	back := false
	defer func() {
		if back || !heard() {
			return
		}
		if value := recover(); value != nil {
			ended(newPanicked(part, value), crashed)
		} else {
			ended(errExit, exited)
		}
	}()
	err := f()
	back = true
	ended(err, returned)
}
