package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
)

// refresh sees to it that e is validated in the background, once at a time. It
// reports false if the cache is closed.
func (c *Cache) refresh(base http.RoundTripper, req *http.Request, key key, e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if e.refreshing.CompareAndSwap(false, true) {
		// What the caller does to its request from now on is its own affair.
		ctx, cancel := context.WithTimeout(background{c.ctx, req.Context()}, c.cfg.RefreshTimeout)
		out := (&http.Request{
			Method: http.MethodGet, URL: req.URL, Host: req.Host, Header: req.Header.Clone(),
			Proto: req.Proto, ProtoMajor: req.ProtoMajor, ProtoMinor: req.ProtoMinor,
		}).WithContext(ctx)
		for _, name := range [...]string{"Cache-Control", "Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
			delete(out.Header, name)
		}
		c.running.Go(func() {
			defer cancel()
			defer e.refreshing.Store(false)
			c.refreshNow(base, out, key, e)
		})
	}
	return true
}

// refreshNow is what runs in the background. A panic below ends there too, since
// there is no caller whose it would be.
func (c *Cache) refreshNow(base http.RoundTripper, req *http.Request, key key, e *entry) {
	fk := flightKey{key: key.clone()}
	fk.vary = varyKey(e.vary, req.Header)
	f, leads := c.flights.join(fk)
	if !leads {
		return
	}
	var err error
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("httpcache: Transport.Base panicked: %v", r)
		}
		c.note(context.Background(), &Event{Kind: Refreshed, Err: err})
	}()
	// Not a stale response again, whatever happens.
	want := noDirectives()
	want.noCache = true
	resp, err := c.lead(&exchange{base: base, req: req, want: want, key: fk.key, entry: e, why: "stale", quiet: true}, f)
	if err != nil {
		return
	}
	if resp.StatusCode >= 500 {
		err = fmt.Errorf("httpcache: the origin answered with %d", resp.StatusCode)
		resp.Body.Close()
		return
	}
	if b, ok := resp.Body.(*tee); ok && b.startPump() {
		b.pump()
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
