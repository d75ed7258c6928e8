package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// passTime is for how long requests for what was not storable do not wait for
// one another.
const passTime = time.Minute

// forward sends a request to the origin, asks it to validate the entry if there is
// one, and stores what comes back.
func (c *Cache) forward(x *exchange) (*http.Response, error) {
	out, validating := x.req, false
	if e := x.entry; e != nil && e.validates() && x.req.Method != http.MethodHead && x.has&(hasConditions|hasRange) == 0 {
		out, validating = e.validation(x.req), true
	}
	generation := c.store.generation(x.key.target)
	requested := time.Now()
	resp, err := send(x.base, out)
	received := time.Now()
	if err != nil {
		return c.failed(x, received, err)
	}
	if resp.Request == out {
		resp.Request = x.req
	}
	switch code := resp.StatusCode; {
	case code == http.StatusSwitchingProtocols:
		x.flight.land(endRefused)
		return resp, nil
	case code == http.StatusNotModified:
		e := c.freshen(x, resp, requested, received, generation)
		switch {
		case !validating: // it is for the caller
			return c.fetched(x, resp, false), nil
		case e != nil:
			return c.validated(x, e, resp, received), nil
		}
		// It speaks of something that is not stored (section 4.3.4).
		discard(resp)
		c.store.drop(x.key, x.entry)
		x.entry = nil
		return c.forward(x)
	case code >= 500:
		switch code {
		case 500, 502, 503, 504: // RFC 5861, section 4
			if x.entry.useInstead(received, &x.want, c.cfg.StaleIfError, nil) {
				discard(resp)
				x.flight.fail(nil)
				return c.instead(x.entry, x.req, received, nil), nil
			}
		}
	case code == http.StatusOK && x.req.Method == http.MethodHead:
		c.head(x, resp, requested, received, generation)
	}
	return c.receive(x, resp, requested, received, generation, validating), nil
}

// receive stores a response while the caller reads it, if it is to be stored.
func (c *Cache) receive(x *exchange, resp *http.Response, requested, received time.Time, g generation, validating bool) *http.Response {
	e := (*entry)(nil)
	if x.req.Method != http.MethodHead {
		e = c.newEntry(x.req, resp, requested, received)
	}
	if e == nil || !e.valid || resp.ContentLength > c.cfg.MaxEntryBytes {
		if e != nil && x.entry != nil && (validating || x.why == "stale") && replacesStored(e.code) {
			c.store.drop(x.key, x.entry)
		}
		if x.flight != nil {
			if resp.StatusCode < 500 {
				c.store.setPass(x.key, received.Add(passTime))
			}
			x.flight.land(endRefused)
		}
		return c.fetched(x, resp, false)
	}
	ctx, flight, key, h := x.req.Context(), x.flight, x.key, x.req.Header
	if len(e.vary) > 0 { // the caller may change its header later
		h = http.Header{}
		for _, f := range e.vary {
			h[f.name] = f.lines
		}
	}
	done := func(body []byte, end ending) {
		defer flight.land(end) // even if Observe panics
		switch end {
		case endStored:
			e.body, e.trailer = body, resp.Trailer.Clone()
			c.put(ctx, key, e, h, g)
		case endRefused:
			if flight != nil {
				c.store.setPass(key, time.Now().Add(passTime))
			}
		}
	}
	if resp.Body == http.NoBody {
		done(nil, endStored)
	} else {
		b := newTee(resp, c.cfg.MaxEntryBytes, done)
		resp.Body = b
		flight.reading(b)
	}
	return c.fetched(x, resp, true)
}

// replacesStored reports whether a status says that what is stored is outdated, as
// that of a refusal does not.
func replacesStored(code int) bool {
	return code >= 200 && code < 400 && code != http.StatusPartialContent || code == http.StatusNotFound || code == http.StatusGone
}

// put stores an entry, and tells what had to go.
func (c *Cache) put(ctx context.Context, key key, e *entry, h http.Header, g generation) {
	if _, evicted := c.store.put(key, e, h, g); evicted > 0 {
		c.note(ctx, &Event{Kind: Evicted, Entries: int(evicted)})
	}
}

// fetched returns a response of the origin's.
func (c *Cache) fetched(x *exchange, resp *http.Response, stored bool) *http.Response {
	if !stored && resp.StatusCode == http.StatusNotModified {
		x.flight.land(endRefused)
	}
	s := Status{Cache: c.cfg.Name, Forward: x.why, Stored: stored}
	addStatus(resp, s)
	c.tell(x, &Event{Kind: Miss, Status: s})
	return resp
}

// tell notes how a request was answered by the origin.
func (c *Cache) tell(x *exchange, e *Event) {
	if !x.quiet {
		e.Request = x.req
		c.note(x.req.Context(), e)
	}
}

// failed returns a stale response in place of an error, if one may be used.
func (c *Cache) failed(x *exchange, now time.Time, err error) (*http.Response, error) {
	ctx := x.req.Context()
	deadline, ok := ctx.Deadline()
	if ctx.Err() != nil || ok && !now.Before(deadline) || errors.Is(err, context.Canceled) {
		x.flight.land(endLost) // it says nothing of the origin
		return nil, err
	}
	x.flight.fail(err)
	if x.entry.useInstead(now, &x.want, c.cfg.StaleIfError, err) {
		return c.instead(x.entry, x.req, now, err), nil
	}
	return nil, err
}

// validation returns req with the conditions that validate e (RFC 9111, section
// 4.3.1).
func (e *entry) validation(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if e.etag != "" {
		out.Header["If-None-Match"] = []string{e.etag}
	}
	if e.lastModified != "" {
		out.Header["If-Modified-Since"] = []string{e.lastModified}
	}
	return out
}

// freshen updates the entry with a 304 (RFC 9111, section 4.3.4). It returns nil if
// that is not about the entry.
func (c *Cache) freshen(x *exchange, resp *http.Response, requested, received time.Time, g generation) *entry {
	old := x.entry
	if old == nil {
		return nil
	}
	tag, modified := resp.Header.Get("Etag"), resp.Header.Get("Last-Modified")
	switch {
	case tag != "":
		same := tag == old.etag
		if strings.HasPrefix(tag, "W/") || strings.HasPrefix(old.etag, "W/") && old.etag != "" {
			same = weakETag(tag) == weakETag(old.etag)
		}
		if !same {
			return nil
		}
	case modified != "":
		if modified != old.lastModified {
			return nil
		}
	case x.has&hasConditions != 0:
		return nil // it says nothing about what is stored
	}
	e := old.updated(c, x.req, resp.Header, requested, received)
	if e.valid {
		c.put(x.req.Context(), x.key, e, x.req.Header, g)
	} else {
		c.store.drop(x.key, old)
	}
	return e
}

// validated answers with an entry that the origin has just validated.
func (c *Cache) validated(x *exchange, e *entry, resp *http.Response, now time.Time) *http.Response {
	discard(resp)
	end := endStored
	if !e.valid {
		end = endRefused
	}
	x.flight.land(end)
	s := Status{Cache: c.cfg.Name, Forward: x.why, ForwardStatus: resp.StatusCode, TTL: e.ttlAt(now), Stored: e.valid}
	c.tell(x, &Event{Kind: Validated, Status: s})
	return e.answer(x.req, now, s)
}

// head compares a response to HEAD with what is stored, and updates or removes that
// (RFC 9111, section 4.3.5).
func (c *Cache) head(x *exchange, resp *http.Response, requested, received time.Time, g generation) {
	old := x.entry
	if old == nil || old.code != http.StatusOK {
		return
	}
	for name, stored := range map[string]string{"Etag": old.etag, "Last-Modified": old.lastModified, "Content-Length": old.header.Get("Content-Length")} {
		if v := resp.Header[name]; v != nil && v[0] != stored {
			c.store.drop(x.key, old)
			return
		}
	}
	if e := old.updated(c, x.req, resp.Header, requested, received); e.valid {
		c.put(x.req.Context(), x.key, e, x.req.Header, g)
	} else {
		c.store.drop(x.key, old)
	}
}

// updated returns e with the fields of a newer response in place of its own (RFC
// 9111, section 3.2). The body is as net/http has decoded it, so that what describes
// its coding stays.
func (e *entry) updated(c *Cache, req *http.Request, newer http.Header, requested, received time.Time) *entry {
	n := &entry{
		status: e.status, code: e.code, proto: e.proto, major: e.major, minor: e.minor,
		header: e.unpacked(), trailer: e.trailer, body: e.body, uncompressed: e.uncompressed,
		vary: e.vary, received: received,
	}
	// Without a new one the old Date would make the response look old.
	delete(n.header, "Date")
	for name, values := range newer {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Range", "Cache-Status":
		default:
			n.header[name] = slices.Clone(values)
		}
	}
	d := n.assess(c, req, requested)
	n.strip(d, c.cfg.Shared)
	n.pack()
	return n
}

// discard ends a response that is not used. A short body gets the chance to end
// by itself, so that its connection can be used again.
func discard(resp *http.Response) {
	if resp.Body != http.NoBody {
		timer := time.AfterFunc(drainTime, func() { resp.Body.Close() })
		defer timer.Stop()
		io.CopyN(io.Discard, resp.Body, 4<<10)
	}
	resp.Body.Close()
}
