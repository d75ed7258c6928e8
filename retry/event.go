package retry

import (
	"fmt"
	"log/slog"
	"time"
)

// A Kind says what an [Event] is about.
type Kind uint8

const (
	// Succeeded: the attempt succeeded, and the call with it.
	Succeeded Kind = iota
	// Retrying: the attempt failed, and another follows after Delay.
	Retrying
	// GaveUp: the attempt failed, and no other follows.
	GaveUp
	// Hedging: the attempt was begun beside one that is slow, or after one that
	// failed.
	Hedging
	// Refused: another attempt was due, and the budget refused it.
	Refused
	// Panicked: code of the caller's panicked after its call to [Hedge] had
	// returned. Err says with what.
	Panicked
)

// String returns the kind in words, like "gave up".
func (k Kind) String() string {
	switch k {
	case Succeeded:
		return "succeeded"
	case Retrying:
		return "retrying"
	case GaveUp:
		return "gave up"
	case Hedging:
		return "hedging"
	case Refused:
		return "refused"
	case Panicked:
		return "panicked"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// MarshalText implements [encoding.TextMarshaler] with String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// An Event is what Config.Observe and HedgeConfig.Observe are told.
type Event struct {
	Kind    Kind          // what happened
	Name    string        // of the Policy or the Hedger
	Attempt int           // the attempt's number, from 1 on; 0: Refused, Panicked
	Elapsed time.Duration // since the call began
	Delay   time.Duration // Retrying: before the next attempt
	Err     error         // Retrying, GaveUp, Panicked: the attempt's error
	Cause   error         // GaveUp: why no other attempt follows; nil if Err is final
}

// LogValue implements [slog.LogValuer]. It has the fields that apply.
func (e Event) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 7)
	attrs = append(attrs, slog.String("kind", e.Kind.String()))
	if e.Name != "" {
		attrs = append(attrs, slog.String("name", e.Name))
	}
	if e.Attempt > 0 {
		attrs = append(attrs, slog.Int("attempt", e.Attempt))
	}
	attrs = append(attrs, slog.Duration("elapsed", e.Elapsed))
	if e.Kind == Retrying {
		attrs = append(attrs, slog.Duration("delay", e.Delay))
	}
	return slog.GroupValue(withErrors(attrs, e.Err, e.Cause)...)
}

// withErrors appends those of an operation's error and its cause that are not nil.
func withErrors(attrs []slog.Attr, err, cause error) []slog.Attr {
	if err != nil {
		attrs = append(attrs, slog.String("err", err.Error()))
	}
	if cause != nil {
		attrs = append(attrs, slog.String("cause", cause.Error()))
	}
	return attrs
}

// statsValue is a group of an object's name, if it has one, and attrs.
func statsValue(name string, attrs ...slog.Attr) slog.Value {
	if name != "" {
		attrs = append([]slog.Attr{slog.String("name", name)}, attrs...)
	}
	return slog.GroupValue(attrs...)
}
