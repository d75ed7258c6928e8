package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Kind is the kind of an [Event].
type Kind uint8

const (
	// Admitted says that a call was let through.
	Admitted Kind = iota
	// Refused says that it was not.
	Refused
	// StoreDown says that the Store of a [Shared] has ceased to answer.
	StoreDown
	// StoreUp says that it answers again.
	StoreUp
)

func (k Kind) String() string {
	switch k {
	case Admitted:
		return "admitted"
	case Refused:
		return "refused"
	case StoreDown:
		return "store down"
	case StoreUp:
		return "store up"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// MarshalText implements [encoding.TextMarshaler].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// An Event is a decision of a [Limiter], a [Keyed], a [Shared] or a [Bulkhead].
type Event struct {
	// Kind is what was decided.
	Kind Kind
	// Name is that of the limit, as its Config has it.
	Name string
	// Key is what KeyedConfig.Label says of the key, if there is one.
	Key string
	// N is the number of tokens or places that were asked for.
	N int
	// Waited is how long the call has waited in the queue.
	Waited time.Duration
	// Cause is why the call was refused, as in an [Error]. It is ErrLimited if a
	// Limiter, a Keyed or a Shared refused a call that does not wait. It is the Store's
	// error if that has ceased to answer.
	Cause error
}

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (e Event) LogValue() slog.Value {
	attrs := append(named(e.Name), slog.String("kind", e.Kind.String()))
	if e.Key != "" {
		attrs = append(attrs, slog.String("key", e.Key))
	}
	if e.Kind == Admitted || e.Kind == Refused {
		attrs = append(attrs, slog.Int("n", e.N))
	}
	if e.Waited > 0 {
		attrs = append(attrs, slog.Duration("waited", e.Waited))
	}
	if e.Cause != nil {
		attrs = append(attrs, slog.Any("cause", e.Cause))
	}
	return slog.GroupValue(attrs...)
}

// named begins a list of attributes with the name, if there is one.
func named(name string) []slog.Attr {
	if name == "" {
		return nil
	}
	return []slog.Attr{slog.String("name", name)}
}

// An observer tells the Observe of a Config, if there is one.
type observer struct {
	name string
	key  string
	tell func(context.Context, Event)
}

// decided tells of a decision that was made without waiting.
func (o *observer) decided(n int, ok bool) {
	if o.tell != nil {
		o.tellDecision(n, ok)
	}
}

func (o *observer) tellDecision(n int, ok bool) {
	e := Event{Kind: Admitted, Name: o.name, Key: o.key, N: n}
	if !ok {
		e.Kind, e.Cause = Refused, ErrLimited
	}
	o.tell(context.Background(), e)
}

// waited tells how waiting since a time has ended.
func (o *observer) waited(ctx context.Context, n int, since time.Time, err error) {
	if o.tell == nil {
		return
	}
	e := Event{Kind: Admitted, Name: o.name, Key: o.key, N: n}
	if !since.IsZero() {
		e.Waited = time.Since(since)
	}
	if err != nil {
		e.Kind, e.Cause = Refused, errors.Unwrap(err)
	}
	o.tell(ctx, e)
}
