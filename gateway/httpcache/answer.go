package httpcache

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// hit answers with the entry.
func (x *exchange) hit(now instant, s Status) *http.Response {
	c := x.cache
	s.Cache, s.TTL = c.cfg.Name, x.entry.ttlAt(now)
	if c.cfg.Observe == nil && !s.Collapsed { // an Event would take longer than the counter
		c.counters.kinds[Hit].Add(1)
	} else {
		c.note(x.req.Context(), &Event{Kind: Hit, Request: x.req, Status: s})
	}
	if x.has&(hasConditions|hasRange) == 0 {
		return x.entry.response(x.req, x.entry.stampAt(now, s))
	}
	return x.entry.answer(x.req, x.header, now, s)
}

// instead answers with the entry because the origin failed.
func (x *exchange) instead(now instant, err error) *http.Response {
	s := Status{Cache: x.cache.cfg.Name, Hit: true, TTL: x.entry.ttlAt(now), Detail: "stale-if-error"}
	x.cache.note(x.req.Context(), &Event{Kind: Stale, Request: x.req, Status: s, Err: err})
	return x.entry.answer(x.req, x.header, now, s)
}

// unsatisfiable answers a request that only wants what is stored (RFC 9111, section
// 5.2.1.7).
func (x *exchange) unsatisfiable() *http.Response {
	s := Status{Cache: x.cache.cfg.Name, Detail: "only-if-cached"}
	x.cache.note(x.req.Context(), &Event{Kind: Refused, Request: x.req, Status: s})
	return &http.Response{
		Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Cache-Status": {s.String()}, "Content-Length": {"0"}},
		Body:   http.NoBody, Request: x.req,
	}
}

// answer returns the entry as the answer to req, or as much of it as h, its header,
// asks for.
func (e *entry) answer(req *http.Request, h http.Header, now instant, s Status) *http.Response {
	resp := e.response(req, e.stampAt(now, s))
	if e.code != http.StatusOK { // conditions and ranges are ignored (RFC 9110, sections 13.2.1 and 14.2)
		return resp
	}
	switch {
	case e.notModified(h, now.time()):
		return notModifiedAnswer(resp)
	case h["Range"] != nil && req.Method != http.MethodHead && e.rangeApplies(h, now.time()):
		return e.rangeAnswer(resp, h["Range"])
	}
	return resp
}

// notModified evaluates the conditions of a request (RFC 9111, section 4.3.2, and
// RFC 9110, section 13.2.2).
func (e *entry) notModified(h http.Header, now time.Time) bool {
	if lines, ok := h["If-None-Match"]; ok {
		for _, line := range lines {
			for tag := range members(line) {
				if tag == "*" && len(lines) == 1 || e.etag != "" && isETag(tag) && weakETag(tag) == weakETag(e.etag) {
					return true
				}
			}
		}
		return false
	}
	since := h["If-Modified-Since"]
	if len(since) != 1 {
		return false
	}
	t, ok := parseDate(since[0], now)
	if !ok {
		return false
	}
	if e.modified.IsZero() {
		return !e.date.After(t)
	}
	return !e.modified.After(t)
}

// isETag reports whether s is an entity-tag (RFC 9110, section 8.8.3).
func isETag(s string) bool {
	s = strings.TrimPrefix(s, "W/")
	return len(s) >= 2 && s[0] == '"' && strings.IndexByte(s[1:], '"') == len(s)-2
}

// weakETag returns what the weak comparison compares.
func weakETag(s string) string { return strings.TrimPrefix(s, "W/") }

// notModifiedAnswer turns resp into a 304 (RFC 9110, section 15.4.5): what describes
// the content that is not sent goes.
func notModifiedAnswer(resp *http.Response) *http.Response {
	resp.Status, resp.StatusCode = "304 Not Modified", http.StatusNotModified
	resp.Body, resp.ContentLength, resp.Trailer, resp.Uncompressed = http.NoBody, 0, nil, false
	for name := range resp.Header {
		if strings.HasPrefix(name, "Content-") && name != "Content-Location" {
			delete(resp.Header, name)
		}
	}
	if resp.Header["Etag"] != nil {
		delete(resp.Header, "Last-Modified")
	}
	return resp
}

// rangeApplies evaluates If-Range (RFC 9110, section 13.1.5), for which validators
// have to be strong.
func (e *entry) rangeApplies(h http.Header, now time.Time) bool {
	lines := h["If-Range"]
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	if v := lines[0]; isETag(v) {
		return v == e.etag && !strings.HasPrefix(v, "W/")
	}
	t, ok := parseDate(lines[0], now)
	return ok && t.Equal(e.modified) && e.date.Sub(e.modified) >= time.Second // section 8.8.2.2
}

// rangeAnswer turns resp into a 206 or 416. Several ranges at once and what is not
// understood get the whole, as RFC 9110, section 14.2, allows.
func (e *entry) rangeAnswer(resp *http.Response, lines []string) *http.Response {
	size := int64(len(e.body))
	from, to, kind := parseRange(lines, size)
	hit, _ := resp.Body.(*reader)
	switch kind {
	case rangeWhole:
		return resp
	case rangeNone:
		resp.Status, resp.StatusCode = "416 Range Not Satisfiable", http.StatusRequestedRangeNotSatisfiable
		resp.Header["Content-Range"] = []string{fmt.Sprintf("bytes */%d", size)}
		resp.Body, resp.ContentLength = http.NoBody, 0
	default:
		resp.Status, resp.StatusCode = "206 Partial Content", http.StatusPartialContent
		resp.Header["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", from, to-1, size)}
		hit.rest = hit.rest[from:to]
		resp.ContentLength = to - from
	}
	resp.Header["Content-Length"] = []string{strconv.FormatInt(resp.ContentLength, 10)}
	return resp
}

type rangeKind uint8

const (
	rangeWhole rangeKind = iota // there is no range to be had
	rangeNone                   // it is valid, but beyond the end
	rangePart
)

// parseRange reads a Range field (RFC 9110, section 14.1.2) for a body of the
// given size. The range is that from the byte from to the one before to.
func parseRange(lines []string, size int64) (from, to int64, kind rangeKind) {
	if len(lines) != 1 {
		return 0, 0, rangeWhole
	}
	unit, set, ok := strings.Cut(lines[0], "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return 0, 0, rangeWhole
	}
	first, last, ok := strings.Cut(strings.Trim(set, " \t"), "-")
	if !ok {
		return 0, 0, rangeWhole
	}
	if first == "" {
		n, ok := rangeInt(last)
		switch {
		case !ok:
			return 0, 0, rangeWhole
		case n == 0 || size == 0:
			return 0, 0, rangeNone
		}
		return max(0, size-n), size, rangePart
	}
	from, ok = rangeInt(first)
	to = size
	if ok && last != "" {
		to, ok = rangeInt(last)
		ok = ok && from <= to
		to = min(to, size-1) + 1
	}
	switch {
	case !ok:
		return 0, 0, rangeWhole
	case from >= size:
		return 0, 0, rangeNone
	}
	return from, to, rangePart
}

// rangeInt parses a position. One that is too large for an int64 is beyond
// the end of everything.
func rangeInt(s string) (n int64, ok bool) {
	if _, ok := deltaSeconds(s); !ok { // not all digits
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, true
}
