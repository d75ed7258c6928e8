package breaker

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrOpen is found by [errors.Is] in every refusal.
var ErrOpen = errors.New("breaker: open")

// Error is a refusal: the call was not made. All calls that one opening refuses
// share one Error, which must not be changed.
type Error struct {
	Name  string // Config.Name
	State State  // Closed: in slow start
	Cause error  // why the breaker opened: a reason in words, or what Trip was given

	until time.Time
}

func (e *Error) Error() string {
	name := "breaker"
	if e.Name != "" {
		name = fmt.Sprintf("breaker %q", e.Name)
	}
	switch e.State {
	case HalfOpen:
		name += " is half-open and waits for its trials"
	case Closed:
		name += " has just closed and admits only a part of the calls"
	default:
		name += " is open"
	}
	if e.Cause == nil {
		return name
	}
	return name + ": " + e.Cause.Error()
}

// Is reports whether target is [ErrOpen].
func (e *Error) Is(target error) bool { return target == ErrOpen }

// Unwrap returns Cause.
func (e *Error) Unwrap() error { return e.Cause }

// Rejected reports true: this process refused the call and sent nothing.
func (e *Error) Rejected() bool { return true }

// RetryAfter returns the time until the breaker makes its next trial. It is 0 if
// that is now or not known.
func (e *Error) RetryAfter() time.Duration {
	if e.until.IsZero() {
		return 0
	}
	return max(0, time.Until(e.until))
}

// LogValue shows what is known.
func (e *Error) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 4)
	if e.Name != "" {
		attrs = append(attrs, slog.String("name", e.Name))
	}
	attrs = append(attrs, slog.String("state", e.State.String()))
	if e.Cause != nil {
		attrs = append(attrs, slog.String("cause", e.Cause.Error()))
	}
	if d := e.RetryAfter(); d > 0 {
		attrs = append(attrs, slog.Duration("retry_after", d))
	}
	return slog.GroupValue(attrs...)
}
