package facade

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Why a part has no value of its own, or a call no good end.
var (
	// ErrTimeout says that a part's time was up. Such errors are
	// [context.DeadlineExceeded], too.
	ErrTimeout = errors.New("facade: no answer in time")
	// ErrNoBudget says that a part was not called, because less time was left
	// than it Expects to take.
	ErrNoBudget = errors.New("facade: not enough time left to begin")
	// ErrSkipped says that a part was not called, because one that it needs
	// has no value.
	ErrSkipped = errors.New("facade: skipped")
	// ErrNotNeeded says that a part was not called, because its condition is
	// false. Nothing is wrong then.
	ErrNotNeeded = errors.New("facade: not needed")
	// ErrIncomplete is found in the error of a call that has failed and was not
	// undone as a whole: an undo failed, an outcome is unknown, or a pivot had
	// been passed. Retryable() is false for it.
	ErrIncomplete error = incomplete{}
)

type incomplete struct{}

func (incomplete) Error() string   { return "facade: not everything could be undone" }
func (incomplete) Retryable() bool { return false }

// Error is what a call that has failed returns. [errors.Is] and [errors.As] find the
// errors of the part and of the undos, and [ErrIncomplete] where something is left.
type Error struct {
	Name    string   // Config.Name
	Part    string   // that failed; "" for assemble and the caller's context
	Err     error    // its error
	Others  []Reason // the other parts that have no value of their own
	Undone  []string // parts, in the order in which they were undone
	Undo    []error  // of undos that failed
	Unknown []string // parts that may have been done, and were not undone

	pivoted bool
	called  bool
}

// Error returns everything but Others. A panic that is part of it is on the same line,
// without its stack.
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
	if e.incomplete() {
		errs = append(errs, ErrIncomplete)
	}
	return append(append(errs, e.Err), e.Undo...)
}

func (e *Error) incomplete() bool { return e.pivoted || len(e.Unknown)+len(e.Undo) > 0 }

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

// LogValue returns the fields that are set, as a group.
func (e *Error) LogValue() slog.Value {
	attrs := named(e.Name, e.Part)
	attrs = append(attrs, slog.Any("err", e.Err))
	if len(e.Others) > 0 {
		attrs = append(attrs, slog.Any("others", texts(e.Others)))
	}
	if len(e.Undone) > 0 {
		attrs = append(attrs, slog.Any("undone", e.Undone))
	}
	if len(e.Undo) > 0 {
		attrs = append(attrs, slog.Any("undo", texts(e.Undo)))
	}
	if len(e.Unknown) > 0 {
		attrs = append(attrs, slog.Any("unknown", e.Unknown))
	}
	if e.incomplete() {
		attrs = append(attrs, slog.Bool("incomplete", true))
	}
	return slog.GroupValue(attrs...)
}

// named returns the attributes that say of which plan and part something is.
func named(name, part string) (attrs []slog.Attr) {
	if name != "" {
		attrs = append(attrs, slog.String("name", name))
	}
	if part != "" {
		attrs = append(attrs, slog.String("part", part))
	}
	return attrs
}

func texts[T any](values []T) []string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = fmt.Sprint(v)
	}
	return s
}
