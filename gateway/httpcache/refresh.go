package httpcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// A refresh is a validation in the background.
type refresh struct {
	*exchange
	of *entry // exchange's own may change
	// settled says that it is over: it has ended, or the cache waits for it no more.
	settled atomic.Bool
}

const (
	grace   = 100 * time.Millisecond // that a refresh has after its deadline
	maxLate = 16                     // refreshes that have not ended by then
)

var errLate = fmt.Errorf("httpcache: Transport.Base has not returned since its context ended: %w", context.DeadlineExceeded)

// refresh sees to it that e is validated in the background, once at a time. It
// reports false if the cache is closed, or too many refreshes hang.
func (c *Cache) refresh(x *exchange, e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.late.Load() >= maxLate {
		return false
	}
	if !e.refreshing.CompareAndSwap(false, true) {
		return true
	}
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
	r := &refresh{of: e, exchange: &exchange{
		cache: c, base: x.base, req: out, sent: out, header: out.Header, want: noDirectives(),
		key: x.key.clone(), hash: x.hash, authorized: x.authorized, vouched: x.vouched,
		variants: x.variants, entry: e, generation: x.generation, why: "stale", together: true,
	}}
	r.refresh = r
	if x.has&hasOddNames != 0 {
		r.header = canonical(out.Header)
	}
	r.want.noCache = true // not a stale response again, whatever happens
	c.running.Add(1)
	go func() {
		defer cancel()
		r.run()
	}()
	return true
}

// run is what runs in the background. A panic or exit below ends there too, since
// there is no caller whose it would be.
func (r *refresh) run() {
	f, leads := r.cache.flights.take(r.exchange, varyKey(r.entry.vary, r.header), false)
	if !leads { // another one is on its way already
		r.of.refreshing.Store(false)
		r.cache.running.Done()
		return
	}
	late := time.AfterFunc(r.cache.cfg.RefreshTimeout+grace, func() {
		if r.settle(0, errLate, true) {
			r.cache.late.Add(1)
		}
	})
	var err error
	status, ended := 0, false
	defer func() {
		late.Stop()
		if !ended {
			err = errors.New("httpcache: Transport.Base called runtime.Goexit")
			if r := recover(); r != nil {
				err = fmt.Errorf("httpcache: Transport.Base panicked: %v", r)
			}
		}
		if !r.settle(status, err, !ended) {
			r.cache.late.Add(-1)
		}
	}()
	status, err = r.validate(f)
	ended = true
}

// settle ends a refresh, unless it has ended: another may begin. failed says that
// the entry has not heard of it yet.
func (r *refresh) settle(status int, err error, failed bool) bool {
	if !r.settled.CompareAndSwap(false, true) {
		return false
	}
	defer r.cache.running.Done()
	if failed {
		r.of.failed(r.cache.now(), err, true)
		r.own.land(endLost)
	}
	r.of.refreshing.Store(false)
	r.cache.noteApart(&Event{Kind: Refreshed, Err: err, Status: Status{ForwardStatus: status}})
	return true
}

// validate leads f, and reads what comes of it.
func (r *refresh) validate(f *flight) (status int, err error) {
	resp, err := r.lead(f)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 500 || saysNothing(resp) {
		resp.Body.Close()
		return resp.StatusCode, fmt.Errorf("httpcache: the origin answered with %d", resp.StatusCode)
	}
	if b, ok := resp.Body.(*tee); ok {
		err = b.readKept()
	}
	return resp.StatusCode, cmp.Or(err, resp.Body.Close())
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
