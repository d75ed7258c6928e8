package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
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

// A CacheStatus says what the cache nearest to the Gateway had to do with a response:
// what the field Cache-Status says (RFC 9211). That is usually a cache in
// Config.Transport; without one it may be that of a server on the way.
type CacheStatus uint8

const (
	// Uncached: no cache says anything.
	Uncached CacheStatus = iota
	// Hit: the response comes from the cache, and is fresh.
	Hit
	// Stale: the response comes from the cache, and is older than its origin wants.
	// The origin could not be reached, or is being asked in the background.
	Stale
	// Validated: the response comes from the cache, and the origin was asked whether
	// it is still right.
	Validated
	// Miss: the response comes from the origin.
	Miss
)

var cacheStatuses = [...]string{"uncached", "hit", "stale", "validated", "miss"}

func (s CacheStatus) String() string {
	if int(s) >= len(cacheStatuses) {
		return fmt.Sprintf("CacheStatus(%d)", uint8(s))
	}
	return cacheStatuses[s]
}

// MarshalText implements [encoding.TextMarshaler].
func (s CacheStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// cacheStatus is the last member of the field Cache-Status, of the nearest cache.
type cacheStatus struct {
	hit, forwarded bool
	status, ttl    int64 // of the answer to the cache; of freshness, in seconds
	detail         string
}

func readCacheStatus(h http.Header) (s cacheStatus) {
	lines := h["Cache-Status"]
	if len(lines) == 0 {
		return s
	}
	items, err := httpfield.ParseList(lines)
	if err != nil || len(items) == 0 {
		return s
	}
	for _, p := range items[len(items)-1].Params {
		switch p.Key {
		case "hit":
			s.hit, _ = p.Value.(bool)
		case "fwd":
			_, s.forwarded = p.Value.(httpfield.Token)
		case "fwd-status":
			s.status, _ = p.Value.(int64)
		case "ttl":
			s.ttl, _ = p.Value.(int64)
		case "detail":
			switch v := p.Value.(type) {
			case httpfield.Token:
				s.detail = string(v)
			case string:
				s.detail = v
			}
		}
	}
	return s
}

// cacheStatusOf returns what h says.
func cacheStatusOf(h http.Header) CacheStatus {
	switch s := readCacheStatus(h); {
	case s.hit && (s.ttl < 0 || strings.HasPrefix(s.detail, "stale-")):
		return Stale
	case s.hit:
		return Hit
	case s.forwarded && s.status == http.StatusNotModified:
		return Validated
	case s.forwarded:
		return Miss
	}
	return Uncached
}
