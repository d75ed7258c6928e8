package ratelimit

import (
	"net/http"
	"net/netip"
	"strings"
)

// ClientIP returns a function that gives the key of a request's client. It is the
// client's address or, for IPv6, the first address of its /64, since one client has all
// of a /64.
//
// The client is the peer of the connection, unless the peer is a trusted proxy: one
// whose address is in a prefix given here. Then the client is the last address in
// X-Forwarded-For that is not of a trusted proxy. Anyone can invent what stands before
// that address, and the whole field if no proxy is trusted.
//
// If the peer has no IP address, as over a Unix socket, the key is the zero Addr, and
// the same for all.
func ClientIP(trusted ...netip.Prefix) func(*http.Request) netip.Addr {
	isTrusted := func(a netip.Addr) bool {
		for _, p := range trusted {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) netip.Addr {
		client := parseAddr(r.RemoteAddr)
		fields := r.Header["X-Forwarded-For"]
		for i := len(fields) - 1; i >= 0; i-- {
			for rest, more := fields[i], true; more; {
				if !client.IsValid() || !isTrusted(client) {
					return network(client)
				}
				var last string
				if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
					rest, last = rest[:comma], rest[comma+1:]
				} else {
					last, more = rest, false
				}
				next := parseAddr(strings.TrimSpace(last))
				if !next.IsValid() { // the proxy knows no better
					return network(client)
				}
				client = next
			}
		}
		return network(client)
	}
}

// parseAddr reads an address, also in brackets or with a port; IPv4 in IPv6 becomes
// IPv4.
func parseAddr(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	a, _ := netip.ParseAddr(s)
	return a.Unmap().WithZone("")
}

// network is the first address of what one client has.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
