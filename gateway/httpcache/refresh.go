package httpcache

import (
	"cmp"
	"context"
	"errors"
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
			key: x.key.clone(), hash: x.hash, authorized: x.authorized, variants: x.variants, entry: e, generation: x.generation,
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

// refresh is what runs in the background. A panic or exit below ends there too, since
// there is no caller whose it would be.
func (x *exchange) refresh() {
	f, leads := x.cache.flights.take(x, varyKey(x.entry.vary, x.header), false)
	if !leads {
		return // another one is on its way already
	}
	var err error
	status, ended := 0, false
	defer func() {
		if !ended {
			err = errors.New("httpcache: Transport.Base called runtime.Goexit")
			if r := recover(); r != nil {
				err = fmt.Errorf("httpcache: Transport.Base panicked: %v", r)
			}
			x.entry.failed(x.cache.now(), err, true)
		}
		x.cache.noteApart(&Event{Kind: Refreshed, Err: err, Status: Status{ForwardStatus: status}})
	}()
	status, err = x.validate(f)
	ended = true
}

// validate leads f, and reads what comes of it.
func (x *exchange) validate(f *flight) (status int, err error) {
	resp, err := x.lead(f)
	if err != nil {
		return 0, err
	}
	status = resp.StatusCode
	if status >= 500 || saysNothing(status) {
		resp.Body.Close()
		return status, fmt.Errorf("httpcache: the origin answered with %d", status)
	}
	if b, ok := resp.Body.(*tee); ok {
		err = b.readKept()
	}
	return status, cmp.Or(err, resp.Body.Close())
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
