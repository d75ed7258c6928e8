package httpcache

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"net/http"
	"net/netip"
	"strings"
)

// A change is what layers below have made of a request, as far as its response shows.
type change uint8

const (
	unchanged change = iota
	fields           // fields that may be credentials; or it is not to be seen
	elsewhere        // it has asked for something else
)

// A sight is what a request says to whom it is sent, but for what says nothing of who
// makes it.
type sight struct {
	known  bool
	method string
	target target
	host   string // to which it is sent
	user   string
	fields uint64 // a sum over them
}

// see looks at a request, before it is sent or in the response.
func (x *exchange) see(req *http.Request) (s sight) {
	if req == nil || req.URL == nil {
		return s
	}
	s = sight{known: true, method: cmp.Or(req.Method, http.MethodGet), target: newTarget(req.URL, req.Host), host: req.URL.Host}
	if req.URL.User != nil {
		s.user = req.URL.User.String()
	}
	if req.URL.Opaque != "" || req.Response != nil { // Base has followed a redirect
		s.target.path = req.URL.String()
	}
	for name, values := range req.Header {
		if saysWhat(name) {
			continue
		}
		sum := maphash.String(x.cache.store.seed, name)
		for _, v := range values {
			sum = bits.RotateLeft64(sum, 1)*31 + maphash.String(x.cache.store.seed, v)
		}
		s.fields += sum // whatever their order
	}
	return s
}

// until returns what has been made of the request since.
func (s sight) until(after sight) change {
	switch {
	case !after.known:
		return fields
	case s.method != after.method, s.target != after.target, s.user != after.user:
		return elsewhere
	case s.fields != after.fields, s.host != after.host && !isAddress(after.host):
		return fields
	}
	return unchanged
}

// isAddress reports whether a host is an IP address, with a port or without. One in
// place of a name is what resolving the name comes to.
func isAddress(host string) bool {
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// saysWhat reports whether a field says what is sent, by what program or for which
// trace, and so is none by which an origin could tell users apart.
func saysWhat(name string) bool {
	switch name {
	case "Accept-Encoding", "User-Agent", "Cache-Control", "Pragma", "If-None-Match", "If-Modified-Since",
		"Traceparent", "Tracestate", "Baggage", "B3", "X-Request-Id", "X-Correlation-Id", "Request-Id",
		"Uber-Trace-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Sentry-Trace", "Idempotency-Key":
		return true
	}
	return strings.HasPrefix(name, "X-B3-") || strings.HasPrefix(name, "X-Datadog-")
}
