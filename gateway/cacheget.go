package gateway

import (
	"net/http"
	"time"
)

// A cacheExchange is a request that the store alone could not answer.
type cacheExchange struct {
	base     http.RoundTripper
	req      *http.Request
	has      cacheFieldSet
	want     cacheDirectives // of the request
	key      cacheKey
	variants []*cacheEntry // what is stored
	entry    *cacheEntry   // of it, what the request selects
	why      string        // the origin has to be asked: Status.Forward
	flight   *cacheFlight  // that this leads
	quiet    bool          // nobody is answered
}

// get answers a GET or HEAD request.
func (c *Cache) get(base http.RoundTripper, req *http.Request, has cacheFieldSet) (*http.Response, error) {
	want := noCacheDirectives()
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
	entry := selectCacheEntry(variants, req.Header)
	now := c.epoch.Add(time.Since(c.epoch)) // half the price of time.Now
	use := entry.use(now, &want)
	if use == cacheUseStale {
		if refreshed := c.refresh(base, req, key, entry); refreshed {
			return c.hit(entry, req, now, Status{Hit: true, Detail: "stale-while-revalidate"}), nil
		}
		use = cacheAskStale // for there will be no refreshing
	}
	if use == cacheUse {
		return c.hit(entry, req, now, Status{Hit: true}), nil
	}
	x := &cacheExchange{base: base, req: req, has: has, want: want, key: key, variants: variants, entry: entry, why: "uri-miss"}
	switch {
	case use == cacheAskRequest:
		x.why = "request"
	case entry != nil:
		x.why = "stale"
	case len(variants) > 0:
		x.why = "vary-miss"
	}
	if want.onlyIfCached {
		return c.unsatisfiable(req), nil
	}
	if req.Method == http.MethodHead || has&(hasConditions|hasRange) != 0 || use == cacheAskRequest || entry != nil && (entry.noCache || entry.lifetime == 0) {
		return c.forward(x)
	}
	return c.collapse(x)
}

// cacheUsage is what may be done with an entry.
type cacheUsage uint8

const (
	cacheAskStale   cacheUsage = iota // it is stale, or there is none
	cacheAskRequest                   // it is fresh, but the request does not want it
	cacheUse
	cacheUseStale // and refresh it
)

// use decides whether e, which may be nil, may answer a request (RFC 9111, section
// 4; RFC 5861, section 3).
func (e *cacheEntry) use(now time.Time, want *cacheDirectives) cacheUsage {
	if e == nil || e.noCache {
		return cacheAskStale
	}
	age := e.ageAt(now)
	fresh := e.lifetime > age
	if want.noCache || want.maxAge != cacheAbsent && (age > want.maxAge || want.maxAge == 0) ||
		want.minFresh != cacheAbsent && e.lifetime < age+want.minFresh {
		if fresh {
			return cacheAskRequest
		}
		return cacheAskStale
	}
	stale := age - e.lifetime
	switch {
	case fresh:
		return cacheUse
	case e.mustRevalidate:
		return cacheAskStale
	case want.maxStale != cacheAbsent && stale <= want.maxStale:
		return cacheUse
	case want.maxAge == cacheAbsent && e.whileRevalidate > 0 && stale <= e.whileRevalidate:
		return cacheUseStale
	}
	return cacheAskStale
}

// useInstead decides whether e may answer after the origin has failed, with err or
// else with an error status (RFC 9111, section 4.2.4; RFC 5861, section 4).
func (e *cacheEntry) useInstead(now time.Time, want *cacheDirectives, limit time.Duration, err error) bool {
	if e == nil || e.noCache || e.mustRevalidate {
		return false
	}
	if e.ifError != cacheAbsent || want.staleIfError != cacheAbsent || err == nil {
		limit = max(e.ifError, want.staleIfError)
	}
	if want.staleIfError == cacheAbsent && (want.noCache || want.maxAge != cacheAbsent || want.minFresh != cacheAbsent) {
		return false
	}
	return e.ageAt(now)-e.lifetime <= limit
}

// hit answers req with an entry.
func (c *Cache) hit(e *cacheEntry, req *http.Request, now time.Time, s Status) *http.Response {
	s.Cache, s.TTL = c.cfg.Name, e.ttlAt(now)
	c.note(req.Context(), &CacheEvent{Kind: CacheHit, Request: req, Status: s})
	return e.answer(req, now, s)
}

// instead answers req with an entry because the origin failed.
func (c *Cache) instead(e *cacheEntry, req *http.Request, now time.Time, err error) *http.Response {
	s := Status{Cache: c.cfg.Name, Hit: true, TTL: e.ttlAt(now), Detail: "stale-if-error"}
	c.note(req.Context(), &CacheEvent{Kind: CacheStale, Request: req, Status: s, Err: err})
	return e.answer(req, now, s)
}

// unsatisfiable answers a request that only wants what is stored (RFC 9111, section
// 5.2.1.7).
func (c *Cache) unsatisfiable(req *http.Request) *http.Response {
	s := Status{Cache: c.cfg.Name, Detail: "only-if-cached"}
	c.note(req.Context(), &CacheEvent{Kind: CacheBypassed, Request: req, Status: s})
	return &http.Response{
		Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Cache-Status": {s.String()}, "Content-Length": {"0"}},
		Body:   http.NoBody, Request: req,
	}
}

// maxCacheRounds is how often a request waits for the responses to others because
// each has taught it that the next one fits better.
const maxCacheRounds = 4

// collapse forwards a request, or waits for the response to one that is under way
// and uses that if it may.
func (c *Cache) collapse(x *cacheExchange) (*http.Response, error) {
	var last cacheFlightKey
	for round := 0; ; {
		key := cacheFlightKey{cacheKey: x.key}
		if len(x.variants) > 0 {
			key.vary = cacheVaryKey(x.variants[0].vary, x.req.Header)
		}
		if round > 0 && (key == last || round == maxCacheRounds) || c.store.passes(x.key, time.Now()) {
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
		x.entry = selectCacheEntry(x.variants, x.req.Header)
		if x.entry.use(now, &x.want) == cacheUse {
			if leads {
				f.land(cacheStored)
			}
			return c.hit(x.entry, x.req, now, Status{Forward: x.why, Collapsed: true}), nil
		}
		if leads {
			return c.lead(x, f)
		}
		switch f.end {
		case cacheStored:
			round++
			last = key
		case cacheRefused:
			return c.forward(x)
		case cacheFailed:
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
