package httpcache

import (
	"maps"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/belay-go/belay/internal/identity"
)

// A fieldSet says which fields of interest a request has. Going through a header
// once is faster than looking each of them up.
type fieldSet uint8

const (
	hasPersonal fieldSet = 1 << iota // of those that say whose request it is
	hasDirectives
	hasRange
	hasConditions       // that a cache may evaluate
	hasOriginConditions // that it may not
	hasUpgrade
	hasOddNames // not spelled as net/http does
	hasOther    // personal, and neither Authorization nor Cookie
)

// fieldsOf reads the names in the header of a request.
func fieldsOf(h http.Header) (has fieldSet) {
	for name := range h {
		switch name {
		case "Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "Referer", "User-Agent":
		case "Authorization", "Cookie":
			has |= hasPersonal
		case "Cache-Control":
			has |= hasDirectives
		case "Range":
			has |= hasRange
		case "If-None-Match", "If-Modified-Since", "If-Range":
			has |= hasConditions
		case "If-Match", "If-Unmodified-Since":
			has |= hasOriginConditions
		case "Upgrade":
			has |= hasUpgrade
		default:
			has |= unusual(name)
		}
	}
	return has
}

// seen holds what is known about names that have come up, since finding it out takes
// longer than a hit may.
var seen atomic.Pointer[map[string]fieldSet]

const (
	maxSeen     = 128 // names
	maxSeenName = 64  // bytes of one
)

// unusual returns what is to be known about a name that fieldsOf does not know.
func unusual(name string) (has fieldSet) {
	known := seen.Load()
	if known != nil {
		if has, ok := (*known)[name]; ok {
			return has
		}
	}
	if identity.Personal(name) {
		has |= hasPersonal | hasOther
	}
	if http.CanonicalHeaderKey(name) != name {
		has |= hasOddNames
	}
	if len(name) <= maxSeenName {
		more := map[string]fieldSet{name: has}
		if known != nil && len(*known) < maxSeen { // or begin anew
			maps.Copy(more, *known)
		}
		seen.CompareAndSwap(known, &more) // or somebody else's name is remembered
	}
	return has
}

// canonical returns h with its names spelled as net/http does, which is how they are
// looked up.
func canonical(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		key := http.CanonicalHeaderKey(name)
		out[key] = append(out[key], h[name]...)
	}
	return out
}
