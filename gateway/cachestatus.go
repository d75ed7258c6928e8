package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/belay-go/belay/internal/httpfield"
)

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
