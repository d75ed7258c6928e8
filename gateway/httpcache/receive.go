package httpcache

import (
	"io"
	"net/http"
	"time"
)

// receive takes in a full response: it removes what that has made obsolete, and stores
// it while the caller reads it, if it is to be stored.
func (x *exchange) receive(resp *http.Response) *http.Response {
	c := x.cache
	var e *entry
	switch {
	case x.req.Method == http.MethodHead:
		x.head(resp)
	case x.entry != nil && (resp.StatusCode >= 500 || saysNothing(resp)):
		// What is stored is better than an error, whatever that says of itself.
	case resp.ContentLength <= c.cfg.MaxEntryBytes:
		e = x.newEntry(resp)
	}
	x.obsolete(resp, e != nil)
	if e == nil {
		x.notStored(resp.StatusCode)
		return x.fetched(resp, false)
	}
	if len(e.vary) > 0 || len(x.variants) > 0 { // the caller may change its header later
		x.header = x.header.Clone()
	}
	if resp.Body == http.NoBody {
		x.ended(e, resp, nil, endStored)
		return x.fetched(resp, true)
	}
	b := newTee(x, e, resp)
	x.flight.reading(b)
	return x.fetched(&b.own, true)
}

// ended is told how the reading of a body has ended: with the whole of it, or why
// there is none.
func (x *exchange) ended(e *entry, resp *http.Response, body []byte, end ending) {
	defer x.flight.land(end) // even if Observe panics
	switch end {
	case endStored:
		e.body, e.trailer = body, resp.Trailer.Clone()
		x.store(e)
	case endRefused:
		x.notStored(resp.StatusCode)
	}
}

// store stores an entry, and tells what had to go.
func (x *exchange) store(e *entry) {
	c := x.cache
	if x.refresh != nil && x.refresh.settled.Load() { // late: others may have stored what is newer
		return
	}
	stored, evicted := c.store.put(&x.key, x.hash, e, x.header, x.generation)
	if stored {
		c.counters.stored.Add(1)
		c.passes.remove(x.hash.key)
	}
	if evicted > 0 {
		c.note(x.req.Context(), &Event{Kind: Evicted, Entries: evicted})
	}
}

// notStored notes that a response was not to be stored, so that requests for it do not
// wait for one another.
func (x *exchange) notStored(code int) {
	if x.together && code < 500 {
		now := x.cache.now()
		x.cache.passes.add(x.hash.key, now, now.sub(x.requested))
	}
}

// obsolete removes what a full response says is not good any more (RFC 9111, section
// 4.3.3). One that is going to be stored takes the place of the old one when it is
// whole, unless that must not be used until then.
func (x *exchange) obsolete(resp *http.Response, stored bool) {
	code := resp.StatusCode
	switch {
	case revokes(resp):
		x.forget(resp)
	case stored && code < 400, x.entry == nil, x.req.Method == http.MethodHead:
	case x.why == "request" && !x.validating && code < 400: // what is fresh stays so
	case code >= 500, saysNothing(resp), code == http.StatusPartialContent,
		code == http.StatusPreconditionFailed, code == http.StatusRequestedRangeNotSatisfiable:
	default:
		x.drop(x.entry, resp)
	}
}

// drop removes one entry, because of what resp says.
func (x *exchange) drop(e *entry, resp *http.Response) {
	if x.cache.store.drop(&x.key, x.hash, e) {
		x.cache.invalidated(x.req.Context(), x.req, 1, resp.StatusCode)
	}
}

// revokes reports whether a response says of the whole resource that it is not, or no
// longer, to be had by this caller.
func revokes(resp *http.Response) bool {
	switch resp.StatusCode {
	case 401, 403, 404, 407, 410, 451:
		return !saysNothing(resp)
	}
	return false
}

// forget removes all that is stored for the request.
func (x *exchange) forget(resp *http.Response) {
	var n int
	n, x.generation = x.cache.store.remove(&x.key, x.hash, x.generation)
	x.cache.invalidated(x.req.Context(), x.req, n, resp.StatusCode)
}

// A discarded body that is short gets the chance to end by itself, so that its
// connection can be used again.
func discard(resp *http.Response) {
	if resp.Body != http.NoBody {
		timer := time.AfterFunc(drainTime, func() { resp.Body.Close() })
		defer timer.Stop()
		io.CopyN(io.Discard, resp.Body, 4<<10)
	}
	resp.Body.Close()
}
