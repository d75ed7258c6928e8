package httpcache

import "net/http"

// Transport is an [http.RoundTripper] that answers requests from a [Cache], and lets
// requests that want the same wait for one response. The zero value passes all
// requests on. Its fields must not change after the first request. It is safe for
// concurrent use.
//
// Tunnels (CONNECT, Upgrade) pass by untouched; all other responses get a
// Cache-Status field, which [StatusOf] reads. Below an [http.Client], a response
// body that has not been read to its end is stored nonetheless if little of it is
// left when it is closed. A response from the store has no TLS state.
type Transport struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
	// Cache has the responses; nil: there is none.
	Cache *Cache
	// Partition names whom a request belongs to: a response is never used for anybody
	// else. nil means [Credentials], and, for a shared cache, that all are one. It is
	// to be set where credentials are added below the cache, are not in the request,
	// as a client certificate, or change while the user stays the same: see [By]. It has
	// the last word: what layers below add to a request that it has named does not matter.
	//
	// The name may be a credential as it is, and is hashed before it is kept. "" means
	// nobody in particular: what is private, or sets a cookie, is not stored, nor are
	// there others who share it, and the rest is for this Transport's requests only.
	Partition func(*http.Request) string
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Cache == nil {
		return t.base().RoundTrip(req)
	}
	return t.Cache.roundTrip(t, req)
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}
