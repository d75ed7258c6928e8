package httpcache

import (
	"net/http"
	"time"
)

// A exchange is a request that the store alone could not answer.
type exchange struct {
	base     http.RoundTripper
	req      *http.Request
	has      fieldSet
	want     directives // of the request
	key      key
	variants []*entry // what is stored
	entry    *entry   // of it, what the request selects
	why      string   // the origin has to be asked: Status.Forward
	flight   *flight  // that this leads
	quiet    bool     // nobody is answered
}

// get answers a GET or HEAD request.
func (c *Cache) get(base http.RoundTripper, req *http.Request, has fieldSet) (*http.Response, error) {
	want := noDirectives()
	if has&hasDirectives != 0 {
		want = parseCacheControl(req.Header["Cache-Control"])
	}
	switch {
	case want.noStore, has&hasOriginConditions != 0, // RFC 9111, section 4.3.2
		// The content of a GET is not part of the key.
		req.Body != nil && req.Body != http.NoBody:
		return c.bypass(base, req, "bypass")
	}
	key := c.key(req, has)
	variants := c.store.get(key)
	entry := selectEntry(variants, req.Header)
	now := c.epoch.Add(time.Since(c.epoch)) // half the price of time.Now
	use := entry.use(now, &want)
	if use == useStale {
		if refreshed := c.refresh(base, req, key, entry); refreshed {
			return c.hit(entry, req, now, Status{Hit: true, Detail: "stale-while-revalidate"}), nil
		}
		use = askStale // for there will be no refreshing
	}
	if use == useFresh {
		return c.hit(entry, req, now, Status{Hit: true}), nil
	}
	x := &exchange{base: base, req: req, has: has, want: want, key: key, variants: variants, entry: entry, why: "uri-miss"}
	switch {
	case use == askRequest:
		x.why = "request"
	case entry != nil:
		x.why = "stale"
	case len(variants) > 0:
		x.why = "vary-miss"
	}
	if want.onlyIfCached {
		return c.unsatisfiable(req), nil
	}
	if req.Method == http.MethodHead || has&(hasConditions|hasRange) != 0 || use == askRequest || entry != nil && (entry.noCache || entry.lifetime == 0) {
		return c.forward(x)
	}
	return c.collapse(x)
}

// usage is what may be done with an entry.
type usage uint8

const (
	askStale   usage = iota // it is stale, or there is none
	askRequest              // it is fresh, but the request does not want it
	useFresh
	useStale // and refresh it
)

// use decides whether e, which may be nil, may answer a request (RFC 9111, section
// 4; RFC 5861, section 3).
func (e *entry) use(now time.Time, want *directives) usage {
	if e == nil || e.noCache {
		return askStale
	}
	age := e.ageAt(now)
	fresh := e.lifetime > age
	if want.noCache || want.maxAge != absent && (age > want.maxAge || want.maxAge == 0) ||
		want.minFresh != absent && e.lifetime < age+want.minFresh {
		if fresh {
			return askRequest
		}
		return askStale
	}
	stale := age - e.lifetime
	switch {
	case fresh:
		return useFresh
	case e.mustRevalidate:
		return askStale
	case want.maxStale != absent && stale <= want.maxStale:
		return useFresh
	case want.maxAge == absent && e.whileRevalidate > 0 && stale <= e.whileRevalidate:
		return useStale
	}
	return askStale
}

// useInstead decides whether e may answer after the origin has failed, with err or
// else with an error status (RFC 9111, section 4.2.4; RFC 5861, section 4).
func (e *entry) useInstead(now time.Time, want *directives, limit time.Duration, err error) bool {
	if e == nil || e.noCache || e.mustRevalidate {
		return false
	}
	if e.ifError != absent || want.staleIfError != absent || err == nil {
		limit = max(e.ifError, want.staleIfError)
	}
	if want.staleIfError == absent && (want.noCache || want.maxAge != absent || want.minFresh != absent) {
		return false
	}
	return e.ageAt(now)-e.lifetime <= limit
}

// hit answers req with an entry.
func (c *Cache) hit(e *entry, req *http.Request, now time.Time, s Status) *http.Response {
	s.Cache, s.TTL = c.cfg.Name, e.ttlAt(now)
	c.note(req.Context(), &Event{Kind: Hit, Request: req, Status: s})
	return e.answer(req, now, s)
}

// instead answers req with an entry because the origin failed.
func (c *Cache) instead(e *entry, req *http.Request, now time.Time, err error) *http.Response {
	s := Status{Cache: c.cfg.Name, Hit: true, TTL: e.ttlAt(now), Detail: "stale-if-error"}
	c.note(req.Context(), &Event{Kind: Stale, Request: req, Status: s, Err: err})
	return e.answer(req, now, s)
}

// unsatisfiable answers a request that only wants what is stored (RFC 9111, section
// 5.2.1.7).
func (c *Cache) unsatisfiable(req *http.Request) *http.Response {
	s := Status{Cache: c.cfg.Name, Detail: "only-if-cached"}
	c.note(req.Context(), &Event{Kind: Bypassed, Request: req, Status: s})
	return &http.Response{
		Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Cache-Status": {s.String()}, "Content-Length": {"0"}},
		Body:   http.NoBody, Request: req,
	}
}

// maxRounds is how often a request waits for the responses to others because
// each has taught it that the next one fits better.
const maxRounds = 4

// collapse forwards a request, or waits for the response to one that is under way
// and uses that if it may.
func (c *Cache) collapse(x *exchange) (*http.Response, error) {
	var last flightKey
	for round := 0; ; {
		key := flightKey{key: x.key}
		if len(x.variants) > 0 {
			key.vary = varyKey(x.variants[0].vary, x.req.Header)
		}
		if round > 0 && (key == last || round == maxRounds) || c.store.passes(x.key, time.Now()) {
			return c.forward(x)
		}
		f, leads := c.flights.join(key)
		if !leads {
			if err := f.wait(x.req.Context()); err != nil {
				return nil, err
			}
		}
		// Also for the leader: another flight may have landed since the look-up.
		now := time.Now()
		x.variants = c.store.get(x.key)
		x.entry = selectEntry(x.variants, x.req.Header)
		if x.entry.use(now, &x.want) == useFresh {
			if leads {
				f.land(endStored)
			}
			return c.hit(x.entry, x.req, now, Status{Forward: x.why, Collapsed: true}), nil
		}
		if leads {
			return c.lead(x, f)
		}
		switch f.end {
		case endStored:
			round++
			last = key
		case endRefused:
			return c.forward(x)
		case endFailed:
			if x.entry.useInstead(now, &x.want, c.cfg.StaleIfError, f.err) {
				return c.instead(x.entry, x.req, now, f.err), nil
			}
			if f.err != nil {
				return nil, f.err
			}
			return c.forward(x)
		}
	}
}
