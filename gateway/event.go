package gateway

import (
	"fmt"
	"log/slog"
	"time"
)

// A Kind says what an [Event] is about.
type Kind uint8

const (
	// Ended: a call has returned. A streamed body may still be read.
	Ended Kind = iota
	// Replayed: a request was answered with 401 and is sent again with other
	// credentials.
	Replayed
)

func (k Kind) String() string {
	if k > Replayed {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"ended", "replayed"}[k]
}

// MarshalText implements [encoding.TextMarshaler].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is what Config.Observe is called with.
type Event struct {
	Kind     Kind          // says which of the other fields are set
	Name     string        // Config.Name
	Endpoint string        // the endpoint's name; "": a request of [Gateway.Client]
	Method   string        // of the request
	Status   int           // of the response; 0: there was none
	Cache    CacheStatus   // Ended: what a cache had to do with the response
	Elapsed  time.Duration // Ended: since the call began
	Err      error         // Ended: an [*Error], or nil if the call succeeded
}

// LogValue implements [slog.LogValuer]. It shows only the fields that are set.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind.String())}
	if e.Name != "" {
		attrs = append(attrs, slog.String("name", e.Name))
	}
	if e.Endpoint != "" {
		attrs = append(attrs, slog.String("endpoint", e.Endpoint))
	}
	attrs = append(attrs, slog.String("method", e.Method))
	if e.Status != 0 {
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	if e.Cache != Uncached {
		attrs = append(attrs, slog.String("cache", e.Cache.String()))
	}
	if e.Kind == Ended {
		attrs = append(attrs, slog.Duration("elapsed", e.Elapsed))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("err", e.Err))
	}
	return slog.GroupValue(attrs...)
}
