package httpcache

import (
	"net/http"
	"time"
)

// A usage is what may be done with what is stored.
type usage uint8

const (
	ask         usage = iota // with others who want the same
	askAlone                 // since nobody else could use the response
	useFresh                 // answer with it
	useStale                 // answer with it, and refresh it
	useInstead               // answer with it, since the origin failed a moment ago
	refuseToAsk              // the request wants what is stored only
)

// decide decides what to do about the request, and begins a refresh if that is it.
func (x *exchange) decide(now instant) usage {
	e := x.entry
	freshness := e.freshness(now, &x.want)
	switch freshness {
	case fresh:
		return useFresh
	case refreshable:
		if e.troubled(now) || x.cache.refresh(x, e) {
			return useStale
		}
		// There is nobody to refresh it, so that the caller has to wait.
	}
	if e.troubled(now) {
		t := e.trouble.Load()
		if t.outage && e.useInstead(now, &x.want, x.cache.cfg.StaleIfError, t.err) {
			return useInstead
		}
	}
	switch {
	case freshness == unwanted:
		x.why = "request"
	case e != nil:
		x.why = "stale"
	case len(x.variants) > 0:
		x.why = "vary-miss"
	default:
		x.why = "uri-miss"
	}
	switch {
	case x.want.onlyIfCached:
		return refuseToAsk
	case x.req.Method == http.MethodHead, x.has&(hasConditions|hasRange) != 0, freshness == unwanted,
		e != nil && (e.noCache || e.lifetime == 0), // which each request has to validate
		x.cache.cfg.MaxWait < 0:
		return askAlone
	}
	return ask
}

// A freshness is how an entry stands to a request.
type freshness uint8

const (
	stale       freshness = iota // or there is none
	unwanted                     // it is fresh, but the request does not want it
	fresh                        // or stale and wanted nonetheless
	refreshable                  // stale, and to be refreshed while it is used
)

// freshness tells whether e, which may be nil, may answer a request (RFC 9111, section
// 4; RFC 5861, section 3).
func (e *entry) freshness(now instant, want *directives) freshness {
	if e == nil || e.noCache {
		return stale
	}
	age := e.ageAt(now)
	isFresh := e.lifetime > age
	if want.noCache || want.maxAge != absent && (age > want.maxAge || want.maxAge == 0) ||
		want.minFresh != absent && e.lifetime < age+want.minFresh {
		if isFresh {
			return unwanted
		}
		return stale
	}
	over := age - e.lifetime
	switch {
	case isFresh:
		return fresh
	case e.mustRevalidate:
		return stale
	case want.maxStale != absent && over <= want.maxStale:
		return fresh
	case want.maxAge == absent && e.whileRevalidate > 0 && over <= e.whileRevalidate:
		return refreshable
	}
	return stale
}

// useInstead decides whether e may answer after the origin has failed, with err or
// else with an error status (RFC 9111, section 4.2.4; RFC 5861, section 4).
func (e *entry) useInstead(now instant, want *directives, limit time.Duration, err error) bool {
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

// After a failure the origin is left alone for a while, and for longer if it fails
// again.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
)

// A trouble is the last failure to validate an entry.
type trouble struct {
	err    error // nil: an error status
	outage bool  // for which a stale response may be used
	since  instant
	pause  time.Duration
}

// failed notes that the origin was asked about e in vain.
func (e *entry) failed(now instant, err error, outage bool) {
	if e == nil {
		return
	}
	pause := minPause
	if last := e.trouble.Load(); last != nil {
		if pause = last.pause; now.sub(last.since) >= pause { // not for those who asked at the same time
			pause = min(2*pause, maxPause)
		}
	}
	e.trouble.Store(&trouble{err, outage, now, pause})
}

// troubled reports whether the origin is not to be asked about e yet.
func (e *entry) troubled(now instant) bool {
	if e == nil {
		return false
	}
	t := e.trouble.Load()
	return t != nil && now.sub(t.since) < t.pause
}
