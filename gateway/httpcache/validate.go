package httpcache

import (
	"net/http"
	"strconv"
	"strings"
)

// validates reports whether the origin can be asked if the entry is still good.
func (e *entry) validates() bool { return e.etag != "" || e.lastModified != "" }

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
func (x *exchange) freshen(resp *http.Response) *entry {
	old := x.entry
	if old == nil {
		return nil
	}
	h := received(resp)
	tag, modified := h.Get("Etag"), h.Get("Last-Modified")
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
	return x.update(resp)
}

// validated answers with an entry that the origin has just validated.
func (x *exchange) validated(e *entry, resp *http.Response) *http.Response {
	discard(resp)
	end := endStored
	if !e.valid {
		end = endRefused
		x.notStored(resp.StatusCode)
	}
	x.flight.land(end)
	s := Status{Cache: x.cache.cfg.Name, Forward: x.why, ForwardStatus: resp.StatusCode, TTL: e.ttlAt(x.received), Stored: e.valid}
	x.tell(&Event{Kind: Validated, Status: s})
	return e.answer(x.req, x.header, x.received, s)
}

// head compares a response to HEAD with what is stored, and updates or removes that
// (RFC 9111, section 4.3.5).
func (x *exchange) head(resp *http.Response) {
	old := x.entry
	if old == nil || old.code != http.StatusOK || resp.StatusCode != http.StatusOK {
		return
	}
	length := old.header.Get("Content-Length")
	if length == "" && !old.uncompressed {
		length = strconv.Itoa(len(old.body))
	}
	for name, stored := range map[string]string{"Etag": old.etag, "Last-Modified": old.lastModified, "Content-Length": length} {
		if v := resp.Header[name]; v != nil && v[0] != stored && !(name == "Content-Length" && stored == "") {
			x.drop(old, resp)
			return
		}
	}
	x.update(resp)
}

// update stores the entry anew with the fields of a newer response in place of its own
// (RFC 9111, section 3.2), if it may still be stored. The body is as net/http has
// decoded it, so that what describes its coding stays.
func (x *exchange) update(newer *http.Response) *entry {
	old := x.entry
	e := &entry{
		status: old.status, code: old.code, proto: old.proto, major: old.major, minor: old.minor,
		header: old.unpacked(), trailer: old.trailer, body: old.body, uncompressed: old.uncompressed,
		received: x.received,
	}
	// Without a new one the old Date would make the response look old.
	delete(e.header, "Date")
	for name, values := range received(newer) {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Range", "Cache-Status":
		default:
			e.header[name] = values
		}
	}
	d := e.assess(x, &http.Response{
		Status: e.status, StatusCode: e.code, Proto: e.proto, ProtoMajor: e.major, ProtoMinor: e.minor,
		Header: e.header, Body: http.NoBody, ContentLength: int64(len(e.body)), Request: x.req,
	})
	if e.finish(x, d); e.valid && x.made != unchanged {
		// Its own fields may be somebody's, unless it says itself that they are not.
		own := parseCacheControl(received(newer)["Cache-Control"])
		e.valid = own.forAll(x.cache.cfg.Shared)
	}
	if e.valid {
		x.store(e)
	} else {
		x.drop(old, newer)
	}
	return e
}
