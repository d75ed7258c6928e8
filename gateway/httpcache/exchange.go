package httpcache

import (
	"context"
	"net/http"

	"github.com/belay-go/belay/internal/identity"
)

// An exchange is one request on its way through the cache. The way is: what the
// request says (begin), whose it is and what is stored for it (find), what may be done
// with that (decide.go), the origin, alone or with others who want the same
// (forward.go, flight.go), and what its answer means for the store (receive.go).
type exchange struct {
	cache  *Cache
	base   http.RoundTripper
	req    *http.Request // the caller's
	sent   *http.Request // it, or a copy with the directives of its context
	header http.Header   // of sent, with canonical names
	has    fieldSet
	want   directives

	key        key
	hash       hash
	authorized bool          // there are credentials for the origin
	vouched    bool          // Transport.Partition has named whose it is
	made       change        // what layers below have made of the request
	asked      *http.Request // that, if it is not unchanged and can be seen
	unnamed    bool          // the response would be stored, if it were known whose it is
	variants   []*entry      // what is stored
	entry      *entry        // of it, what the request selects

	why        string  // the origin has to be asked: Status.Forward
	flight     *flight // that this leads: own
	own        flight
	validating bool     // the origin is asked whether the entry is still good
	together   bool     // others may wait for it
	refresh    *refresh // that this is: nobody is answered
	requested  instant
	received   instant
	generation generation // of the target, when it was looked for
}

// roundTrip answers the request, or has the origin do it.
func (c *Cache) roundTrip(t *Transport, req *http.Request) (*http.Response, error) {
	if c.store == nil {
		return nil, refuse(req, errNotMade)
	}
	if ctx := req.Context(); ctx.Err() != nil {
		err := context.Cause(ctx)
		c.note(ctx, &Event{Kind: Refused, Request: req, Err: err})
		return nil, refuse(req, err)
	}
	x := exchange{cache: c, base: t.base(), req: req, sent: req, header: req.Header}
	if x.begin(); x.tunnels() {
		return x.tunnel()
	}
	x.find(t)
	switch {
	case x.writes():
		return x.onHeap().write()
	case x.bypasses():
		return x.onHeap().bypass("bypass")
	}
	switch now := c.now(); x.decide(now) {
	case useFresh:
		return x.hit(now, Status{Hit: true}), nil
	case useStale:
		return x.hit(now, Status{Hit: true, Detail: "stale-while-revalidate"}), nil
	case useInstead:
		return x.instead(now, x.entry.trouble.Load().err), nil
	case refuseToAsk:
		return x.unsatisfiable(), nil
	case askAlone:
		return x.onHeap().forward()
	}
	return x.onHeap().collapse()
}

// onHeap returns a copy that may outlive the call, which those that end in a hit do
// without.
func (x *exchange) onHeap() *exchange {
	y := *x
	return &y
}

// begin reads what the request says.
func (x *exchange) begin() {
	if text, _ := x.req.Context().Value(controlKey{}).(string); text != "" {
		out := *x.req
		out.Header = out.Header.Clone()
		if out.Header == nil {
			out.Header = http.Header{}
		}
		out.Header["Cache-Control"] = append(out.Header["Cache-Control"], text)
		x.sent, x.header = &out, out.Header
	}
	if x.has = fieldsOf(x.header); x.has&hasOddNames != 0 {
		x.header = canonical(x.header)
		x.has |= fieldsOf(x.header)
	}
	x.want = noDirectives()
	if x.has&hasDirectives != 0 {
		x.want = parseCacheControl(x.header["Cache-Control"])
	}
}

// tunnels reports whether the request is for a tunnel, or for what will be one.
func (x *exchange) tunnels() bool {
	return x.req.URL == nil || x.req.URL.Opaque != "" || x.req.Method == http.MethodConnect || x.has&hasUpgrade != 0
}

// writes reports whether the request is one that the cache has no answers for.
func (x *exchange) writes() bool {
	return x.req.Method != "" && x.req.Method != http.MethodGet && x.req.Method != http.MethodHead
}

// bypasses reports whether what is stored is of no use for the request. The content of
// a GET is not part of the key, and some conditions are for the origin only (RFC 9111,
// section 4.3.2).
func (x *exchange) bypasses() bool {
	return x.want.noStore || x.has&hasOriginConditions != 0 || x.req.Body != nil && x.req.Body != http.NoBody
}

// find finds out whose the request is, and what is stored for it.
func (x *exchange) find(t *Transport) {
	id := identity.From(x.req.Context())
	x.authorized = id.Name != "" || x.has&hasPersonal != 0 && x.header["Authorization"] != nil
	x.key = newKey(x.req, t.partition(x.req, x.has, id))
	x.vouched = t.Partition != nil && x.key.named()
	x.hash = hashOf(x.cache.store.seed, &x.key)
	x.look()
}

// look looks for a stored response.
func (x *exchange) look() {
	x.variants, x.generation = x.cache.store.get(&x.key, x.hash)
	x.entry = selectEntry(x.variants, x.header)
}

// send has the layers below answer out, which is the caller's request or a copy, and
// sees what they have made of it, unless that does not matter.
func (x *exchange) send(out *http.Request) (*http.Response, error) {
	var before sight
	if !x.vouched {
		before = x.see(out)
	}
	resp, err := x.base.RoundTrip(out)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errNoResponse
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	if !x.vouched {
		if x.made = before.until(x.see(resp.Request)); x.made != unchanged {
			x.asked = resp.Request
		}
	}
	if resp.Request == out || resp.Request == nil {
		resp.Request = x.req
	}
	return resp, nil
}

// refuse closes the body of a request that is not sent.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close()
	}
	return err
}

type controlKey struct{}

// WithCacheControl returns a context whose requests have these directives besides
// those of their header, for instance
//
//	"no-cache"        ask the origin
//	"only-if-cached"  do not ask it
//	"max-stale=60"    a response that has been stale for a minute will do
//	"no-store"        keep nothing
//
// It is for typed calls, whose header is fixed. The origin is sent them as well.
func WithCacheControl(ctx context.Context, directives string) context.Context {
	return context.WithValue(ctx, controlKey{}, directives)
}
