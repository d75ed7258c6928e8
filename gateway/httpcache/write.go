package httpcache

import (
	"errors"
	"net"
	"net/http"
)

// isSafe reports whether a method changes nothing (RFC 9110, section 9.2.1, and the
// registry of methods).
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH":
		return true
	}
	return false
}

// write sends a request that is neither GET nor HEAD, and invalidates what it may
// have changed (RFC 9111, section 4.4).
func (x *exchange) write() (*http.Response, error) {
	if isSafe(x.req.Method) {
		return x.bypass("method")
	}
	x.requested = x.cache.now()
	resp, err := x.send(x.sent)
	if err != nil {
		if !unsent(err) { // it may have been done, though we have not heard so
			x.cache.invalidated(x.req.Context(), x.req, x.cache.store.invalidate(x.key.target), 0)
		}
		return x.passedBy(nil, err, "method")
	}
	x.received = x.cache.now()
	switch code := resp.StatusCode; {
	case code >= 200 && code < 400,
		code == http.StatusBadGateway, code == http.StatusGatewayTimeout: // a proxy has lost the answer
		resp = x.wrote(resp)
	}
	return x.passedBy(resp, nil, "method")
}

// unsent reports whether an error proves that a request has not reached the origin.
func unsent(err error) bool {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return true
	}
	return rejected(err)
}

// wrote invalidates what a write concerns that has succeeded, or that may have.
func (x *exchange) wrote(resp *http.Response) *http.Response {
	req, store := x.req, x.cache.store
	n := store.invalidate(x.key.target)
	stays := false
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, v := range resp.Header[name] {
			u, err := req.URL.Parse(v)
			if err != nil {
				continue
			}
			host := ""
			if u.Host == req.URL.Host { // a reference without a host is to the target's
				host = req.Host
			}
			t := newTarget(u, host)
			if t == x.key.target {
				stays = stays || name == "Content-Location"
			} else if t.scheme == x.key.scheme && t.host == x.key.host {
				n += store.invalidate(t)
			}
		}
	}
	x.cache.invalidated(req.Context(), req, n, 0)
	if req.Method == http.MethodPost && stays && resp.StatusCode == http.StatusOK {
		return x.keep(resp)
	}
	return resp
}

// keep stores the response to a POST that says that it is also what a GET would get
// now, and for how long (RFC 9110, section 9.3.3).
func (x *exchange) keep(resp *http.Response) *http.Response {
	c := x.cache
	e := x.newEntry(resp)
	if x.want.noStore || e == nil || e.lifetime == 0 || e.heuristic ||
		resp.ContentLength > c.cfg.MaxEntryBytes || resp.Body == http.NoBody {
		return resp
	}
	x.generation = c.store.generation(x.hash)
	x.header = x.header.Clone()
	return &newTee(x, e, resp).own
}
