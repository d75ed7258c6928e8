package httpcache

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A entry is a stored response. Once it is in the store, nothing in it changes
// but what is atomic: all hits share the body and copy the header.
type entry struct {
	status          string
	code            int
	proto           string
	major, minor    int
	header, trailer http.Header
	fields          []field  // of header
	values          []string // of header, one after the other
	ageIndex        int      // of values: that of Age
	statusIndex     int      // and of our own in Cache-Status
	body            []byte
	uncompressed    bool // by net/http

	vary         []varyField
	etag         string
	lastModified string
	modified     time.Time // lastModified, if that is a date

	date            time.Time
	dated           bool // date is the origin's
	received        instant
	age             time.Duration // when it was received
	lifetime        time.Duration
	whileRevalidate time.Duration
	ifError         time.Duration // or absent
	noCache         bool          // to be validated before each use
	mustRevalidate  bool          // never to be used stale
	heuristic       bool          // the lifetime is a guess
	valid           bool          // to be stored

	alone      [1]*entry   // itself: what a store has of most keys
	refreshing atomic.Bool // in the background
	trouble    atomic.Pointer[trouble]
	stamp      atomic.Pointer[stamp]
}

// ageAt returns the current_age of RFC 9111, section 4.2.3.
func (e *entry) ageAt(now instant) time.Duration { return e.age + now.sub(e.received) }

// ttlAt returns what is left of the lifetime, in whole seconds; less than 0: it is over.
func (e *entry) ttlAt(now instant) time.Duration {
	return (e.lifetime - e.ageAt(now)).Truncate(time.Second)
}

// size is what the entry counts for in the budget: estimated, and not too small.
func (e *entry) size() int64 {
	n := 512 + len(e.body)
	for _, h := range []http.Header{e.header, e.trailer} {
		for name, values := range h {
			n += len(name) + 64
			for _, v := range values {
				n += len(v) + 16
			}
		}
	}
	for _, f := range e.vary {
		n += len(f.name) + 2*len(f.value) + 96
	}
	return int64(n)
}

// hopByHop are the fields that belong to a connection, or to a proxy's client, and
// are not stored (RFC 9111, section 3.1, and RFC 9110, section 7.6.1).
var hopByHop = [...]string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// newEntry returns the entry for the response to a request, but for its body, or nil
// if the response is not to be stored, or would be of no use then.
func (x *exchange) newEntry(resp *http.Response) *entry {
	e := &entry{
		status: resp.Status, code: resp.StatusCode,
		proto: resp.Proto, major: resp.ProtoMajor, minor: resp.ProtoMinor,
		header: received(resp), uncompressed: resp.Uncompressed,
		received: x.received,
	}
	d := e.assess(x, resp)
	if !e.valid {
		return nil
	}
	e.header = maps.Clone(e.header)
	if e.finish(x, d); !e.valid {
		return nil
	}
	return e
}

// received returns the header of a response with canonical names, as those of
// net/http have.
func received(resp *http.Response) http.Header {
	if resp.Header == nil {
		return http.Header{}
	}
	for name := range resp.Header {
		if http.CanonicalHeaderKey(name) != name {
			return canonical(resp.Header)
		}
	}
	return resp.Header
}

// finish makes an entry of one whose header may be changed.
func (e *entry) finish(x *exchange, d directives) {
	vary, varies := e.header["Vary"], false
	if e.uncompressed || e.header["Content-Encoding"] != nil {
		// Many an origin forgets to say so, and net/http asks for gzip unasked.
		vary = append(slices.Clip(vary), "Accept-Encoding")
	}
	e.vary, varies = newVary(vary, x.header)
	e.valid = e.valid && varies
	e.strip(d, x.cache.cfg.Shared)
	e.pack()
}

// assess reads what the header says about storing, and about freshness. resp is what
// Config.Override is asked about.
func (e *entry) assess(x *exchange, resp *http.Response) directives {
	h, cfg := e.header, &x.cache.cfg
	d, targeted := directives{}, false
	if cfg.Override != nil {
		if text := cfg.Override(x.req, resp); text != "" {
			d, targeted = parseCacheControl([]string{text}), true
		}
	}
	if !targeted {
		d, targeted = parseTargeted(h, cfg.targeted)
	}
	if !targeted {
		d = parseCacheControl(h["Cache-Control"])
	}
	shared, received := cfg.Shared, e.received.time()

	if v := h["Etag"]; len(v) == 1 {
		e.etag = v[0]
	}
	if v := h["Last-Modified"]; len(v) == 1 {
		if t, ok := parseDate(v[0], received); ok {
			e.lastModified, e.modified = v[0], t
		}
	}

	// Section 4.2.3. A Date is whole seconds, so that of the receipt must be too.
	if e.date, e.dated = dateField(h, "Date", received); !e.dated {
		e.date = received.UTC().Truncate(time.Second)
	}
	var age time.Duration
	if v := h["Age"]; len(v) > 0 {
		first, _, _ := strings.Cut(v[0], ",") // section 5.1
		age, _ = deltaSeconds(strings.Trim(first, " \t"))
	}
	e.age = max(0, received.Truncate(time.Second).Sub(e.date), age+e.received.sub(x.requested))

	// Section 4.2.1.
	explicit := true
	switch _, expires := h["Expires"]; {
	case shared && d.sMaxAge != absent:
		e.lifetime = d.sMaxAge
	case d.maxAge != absent:
		e.lifetime = d.maxAge
	case expires && !targeted:
		e.lifetime = 0
		if t, ok := dateField(h, "Expires", received); ok {
			e.lifetime = max(0, t.Sub(e.date))
		}
	default:
		explicit, e.lifetime = false, 0
	}
	understood := heuristicallyCacheable(e.code) || d.public
	if !explicit && understood && cfg.Heuristic > 0 && !e.modified.IsZero() { // section 4.2.2
		since := time.Duration(cfg.Heuristic * float64(e.date.Sub(e.modified)))
		e.lifetime = min(max(0, since), maxHeuristic)
		e.heuristic = e.lifetime > 0
	}

	e.noCache = d.noCache
	e.mustRevalidate = d.mustRevalidate || shared && (d.proxyRevalidate || d.sMaxAge != absent)
	e.whileRevalidate = max(0, d.staleWhileRevalidate)
	e.ifError = d.staleIfError

	// Section 3.
	noStore := d.noStore
	if d.mustUnderstand {
		noStore = http.StatusText(e.code) == ""
	}
	e.valid = !noStore && !(shared && d.private) && !(shared && x.authorized && !d.forAll(shared)) &&
		storable(e.code) && (explicit || understood || d.private) &&
		// It would be of no use otherwise.
		(e.validates() || !e.noCache && e.lifetime+e.whileRevalidate+max(0, e.ifError) > 0)
	// What is somebody's is not kept unless it is known whose it is.
	x.unnamed = e.valid && !x.named(h, &d)
	e.valid = e.valid && !x.unnamed
	return d
}

// named reports whether it is known whose a response is, or that it is everybody's.
func (x *exchange) named(h http.Header, d *directives) bool {
	if x.made == elsewhere || x.made == fields && !(d.forAll(x.cache.cfg.Shared) && x.seesVary(h)) {
		return false
	}
	return x.key.named() && x.made == unchanged ||
		!d.private && len(d.privateFields) == 0 && h["Set-Cookie"] == nil && h["Set-Cookie2"] == nil
}

// forAll reports whether a response is for others than those who have the credentials
// of the request (RFC 9111, section 3.5).
func (d *directives) forAll(shared bool) bool {
	return d.public || shared && (d.mustRevalidate || d.sMaxAge != absent)
}

// seesVary reports whether layers below have left alone the fields that a response was
// selected by.
func (x *exchange) seesVary(h http.Header) bool {
	for _, line := range h["Vary"] {
		for name := range members(line) {
			name = http.CanonicalHeaderKey(name)
			if x.asked == nil || !slices.Equal(x.asked.Header[name], x.header[name]) {
				return false
			}
		}
	}
	return true
}

// storable reports whether responses with a status may be stored. Those that ask for
// credentials may not: the next request brings others.
func storable(code int) bool {
	switch code {
	case http.StatusPartialContent, http.StatusNotModified, http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return false
	}
	return code >= 200
}

// strip removes the fields that are not to be stored (section 3.1), and sees to it
// that there is a Date (RFC 9110, section 6.6.1).
func (e *entry) strip(d directives, shared bool) {
	if !e.dated {
		e.header["Date"] = []string{e.date.Format(http.TimeFormat)}
	}
	for _, line := range e.header["Connection"] {
		for name := range members(line) {
			delete(e.header, http.CanonicalHeaderKey(name))
		}
	}
	for _, name := range hopByHop {
		delete(e.header, name)
	}
	for _, name := range d.noCacheFields {
		delete(e.header, name)
	}
	if shared {
		for _, name := range d.privateFields {
			delete(e.header, name)
		}
	}
}

// dateField returns the date in a field, if it has one value only, or the same
// several times.
func dateField(h http.Header, name string, now time.Time) (t time.Time, ok bool) {
	lines := h[name]
	if len(lines) == 0 || slices.ContainsFunc(lines, func(s string) bool { return s != lines[0] }) {
		return t, false
	}
	return parseDate(lines[0], now)
}

// heuristicallyCacheable reports whether a status is (RFC 9110, section 15.1).
func heuristicallyCacheable(code int) bool {
	switch code {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}
