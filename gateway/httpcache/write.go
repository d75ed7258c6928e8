package httpcache

import (
	"net/http"
	"time"
)

// write sends a request that is neither GET nor HEAD, and invalidates what it may
// have changed (RFC 9111, section 4.4).
func (c *Cache) write(base http.RoundTripper, req *http.Request, has fieldSet) (*http.Response, error) {
	if req.Method == http.MethodOptions || req.Method == http.MethodTrace {
		return c.bypass(base, req, "method")
	}
	requested := time.Now()
	resp, err := send(base, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 400 {
		c.wrote(req, resp, has, requested)
	}
	c.bypassed(req, resp, "method")
	return resp, nil
}

// wrote invalidates what a successful write concerns.
func (c *Cache) wrote(req *http.Request, resp *http.Response, has fieldSet, requested time.Time) {
	key := c.key(req, has)
	n := c.store.invalidate(key.target)
	stays := false
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, v := range resp.Header[name] {
			u, err := req.URL.Parse(v)
			if err != nil {
				continue
			}
			host := ""
			if u.Host == req.URL.Host { // a reference without a host is to the target's
				host = req.Host
			}
			t := newTarget(u, host)
			if t == key.target {
				stays = stays || name == "Content-Location"
			} else if t.scheme == key.scheme && t.host == key.host {
				n += c.store.invalidate(t)
			}
		}
	}
	c.invalidated(req.Context(), req, n)
	if req.Method == http.MethodPost && stays {
		c.keep(req, resp, key, requested)
	}
}

// keep stores the response to a POST that says that it is also what a GET would get
// now, and for how long (RFC 9110, section 9.3.3).
func (c *Cache) keep(req *http.Request, resp *http.Response, key key, requested time.Time) {
	want := parseCacheControl(req.Header["Cache-Control"])
	e := c.newEntry(req, resp, requested, time.Now())
	if want.noStore || resp.StatusCode != http.StatusOK || !e.valid || e.lifetime == 0 || e.heuristic ||
		resp.ContentLength > c.cfg.MaxEntryBytes || resp.Body == http.NoBody {
		return
	}
	g := c.store.generation(key.target)
	h := req.Header.Clone()
	resp.Body = newTee(resp, c.cfg.MaxEntryBytes, func(body []byte, end ending) {
		if end == endStored {
			e.body, e.trailer = body, resp.Trailer.Clone()
			c.put(req.Context(), key, e, h, g)
		}
	})
}
