// Loopback only: what helps the person at the machine, and would help anybody else to
// do harm. Not worth trusting by the address alone: a page from elsewhere can make the
// browser of that person ask.

package platform

import (
	"net"
	"net/http"
	"net/netip"
)

// Local returns h for requests from this machine, to a name of this machine, and from no
// page of another site. If open is true, from anywhere, and still from no such page.
func Local(h http.Handler, open bool) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if !open && !(loopback(r.RemoteAddr) && loopback(r.Host)) {
			Refuse(w, Problem{Status: http.StatusForbidden, Detail: "this is for the machine itself, unless HUTS_OPEN says otherwise"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.ServeHTTP(w, r)
	}))
}

// loopback tells whether an address, or the Host of a request, is on this machine. A
// name that another site has pointed to 127.0.0.1 is not.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
