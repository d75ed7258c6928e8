package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
)

// refresh sees to it that e is validated in the background, once at a time. It
// reports false if the cache is closed.
func (c *Cache) refresh(x *exchange, e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if e.refreshing.CompareAndSwap(false, true) {
		// What the caller does to its request from now on is its own affair.
		req := x.sent
		ctx, cancel := context.WithTimeout(background{c.ctx, req.Context()}, c.cfg.RefreshTimeout)
		out := (&http.Request{
			Method: http.MethodGet, URL: req.URL, Host: req.Host, Header: req.Header.Clone(),
			Proto: req.Proto, ProtoMajor: req.ProtoMajor, ProtoMinor: req.ProtoMinor,
		}).WithContext(ctx)
		for name := range out.Header {
			switch http.CanonicalHeaderKey(name) {
			case "Cache-Control", "Range", "If-Range", "If-None-Match", "If-Modified-Since":
				delete(out.Header, name)
			}
		}
		y := &exchange{
			cache: c, base: x.base, req: out, sent: out, header: out.Header, want: noDirectives(),
			key: x.key.clone(), hash: x.hash, authorized: x.authorized, variants: x.variants, entry: e,
			why: "stale", together: true, quiet: true,
		}
		if x.has&hasOddNames != 0 {
			y.header = canonical(out.Header)
		}
		y.want.noCache = true // not a stale response again, whatever happens
		c.running.Go(func() {
			defer cancel()
			defer e.refreshing.Store(false)
			y.refresh()
		})
	}
	return true
}

// refresh is what runs in the background. A panic below ends there too, since there is
// no caller whose it would be.
func (x *exchange) refresh() {
	f, leads := x.cache.flights.take(x, varyKey(x.entry.vary, x.header), false)
	if !leads {
		return // another one is on its way already
	}
	var err error
	status := 0
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("httpcache: Transport.Base panicked: %v", r)
			x.entry.failed(x.cache.now(), err)
		}
		x.cache.note(context.Background(), &Event{Kind: Refreshed, Err: err, Status: Status{ForwardStatus: status}})
	}()
	resp, err := x.lead(f)
	if err != nil {
		return
	}
	if status = resp.StatusCode; status >= 500 || saysNothing(status) {
		err = fmt.Errorf("httpcache: the origin answered with %d", status)
		resp.Body.Close()
		return
	}
	if b, ok := resp.Body.(*tee); ok {
		b.readKept()
	}
	err = resp.Body.Close()
}

// A background ends as the cache does, and has the values of the request that it
// serves, but not its trace: that is not to hear of anything after the request.
type background struct {
	context.Context
	values context.Context
}

func (c background) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	v := c.values.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}
