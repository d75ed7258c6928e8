package gateway

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/belay-go/belay/internal/identity"
)

// door is the RoundTripper of all requests of a Gateway. It adds credentials to
// requests to the base origin, and takes them away from all others.
type door struct{ *Gateway }

var (
	errForeign    = errors.New("gateway: not sent: the request is not for the base origin")
	errNoHeader   = errors.New("gateway: not sent: Request.Header is nil")
	errNoResponse = errors.New("gateway: Config.Transport returned neither a response nor an error")
)

// authError marks an error of Auth.
type authError struct{ error }

func (e *authError) Error() string { return "gateway: no credentials: " + e.error.Error() }
func (e *authError) Unwrap() error { return e.error }

// RoundTrip implements [http.RoundTripper].
func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if err := ctx.Err(); err != nil {
		return nil, refuse(req, err)
	}
	if req.Header == nil { // as http.Transport does
		return nil, refuse(req, errNoHeader)
	}
	out, c := req, callFrom(ctx)
	if c == nil || c.gateway != d.Gateway {
		outer := c
		c = &call{Context: ctx, gateway: d.Gateway}
		if ctx = c; outer != nil { // a Gateway used within a call of another
			out = clone(ctx, req)
		}
	}
	c.followed = req.Response != nil
	switch {
	case !d.owns(req.URL) && req.Response == nil:
		return nil, refuse(req, errForeign)
	case !d.owns(req.URL):
		c.identity = identity.Identity{}
		return d.send(c, anonymous(ctx, req), req)
	case d.cfg.Auth == nil:
		return d.send(c, out, req)
	case d.left(req): // a redirect back does not bring credentials back
		c.identity = identity.Identity{}
		return d.send(c, out, req)
	}
	c.identity.Name = cmp.Or(d.cfg.Auth.Identity(ctx), d.own)
	if out == req && req != c.own {
		out = clone(ctx, req)
	}
	if err := d.apply(c, out); err != nil {
		return nil, err
	}
	resp, err := d.send(c, out, req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return d.replay(c, req, out, resp)
}

// apply adds the credentials to req.
func (d *door) apply(c *call, req *http.Request) error {
	applied := false
	defer func() {
		if !applied && req.Body != nil { // Apply panicked, or had an error
			req.Body.Close()
		}
	}()
	before := req.Header.Get("Authorization")
	if err := d.cfg.Auth.Apply(req.Context(), req); err != nil {
		return &authError{err}
	}
	applied = true
	c.identity.Granted = req.Header.Get("Authorization")
	if c.identity.Granted == before || c.identity.Name == d.own {
		c.identity.Granted = "" // it is somebody else's, or nobody has said whose
	}
	return nil
}

// replay sends req once more, after a 401, if Auth has other credentials.
func (d *door) replay(c *call, req, sent *http.Request, resp *http.Response) (*http.Response, error) {
	ctx := sent.Context()
	auth, ok := d.cfg.Auth.(staler)
	if !ok || !(req.Body == nil || req.Body == http.NoBody || req.GetBody != nil) {
		return resp, nil
	}
	again, settled := clone(ctx, req), false
	again.Body = nil
	defer func() {
		if settled {
			return
		}
		resp.Body.Close() // Stale, Apply or Observe panicked, or had an error
		if again.Body != nil {
			again.Body.Close()
		}
	}()
	if !auth.Stale(ctx, sent) {
		settled = true
		return resp, nil
	}
	if err := d.apply(c, again); err != nil {
		return nil, err
	}
	if maps.EqualFunc(again.Header, sent.Header, slices.Equal) && again.URL.RawQuery == sent.URL.RawQuery {
		settled = true // the credentials are the same
		return resp, nil
	}
	// The 401 may come from a cache below: the system itself is to see the new ones.
	again.Header["Cache-Control"] = append(slices.Clip(again.Header["Cache-Control"]), "no-cache")
	if req.GetBody != nil {
		var err error
		if again.Body, err = req.GetBody(); err != nil {
			settled = true
			return resp, nil
		}
	}
	drain(resp.Body)
	resp.Body.Close()
	if c.endpoint != nil {
		c.endpoint.counts.replayed.Add(1)
	}
	if d.cfg.Observe != nil {
		e := Event{Kind: Replayed, Name: d.cfg.Name, Method: req.Method, Status: resp.StatusCode}
		e.Endpoint, _ = EndpointFrom(ctx)
		d.cfg.Observe(ctx, e)
	}
	settled = true
	return d.send(c, again, req)
}

// send sends out, which is req or a clone of it.
func (d *door) send(c *call, out, req *http.Request) (*http.Response, error) {
	c.sent = out
	resp, err := d.transport().RoundTrip(out)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errNoResponse
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	switch got := resp.Request; {
	case got == nil || got == out:
		resp.Request = req
	case got != req:
		resp.Request = unsigned(got, out, req)
	}
	// The error of http.Client would show what it cannot parse.
	if location := resp.Header["Location"]; len(location) > 0 && c.endpoint != nil {
		if _, err := req.URL.Parse(location[0]); err != nil && resp.StatusCode/100 == 3 {
			resp.Body.Close()
			return nil, &redirectError{errors.New("the Location is not a URL")}
		}
	}
	return resp, nil
}

// unsigned is got, which a layer below has made of out, without what Auth has put into
// that.
func unsigned(got, out, req *http.Request) *http.Request {
	if out == req {
		return got
	}
	shown := new(*got)
	shown.Header = got.Header.Clone()
	for name, values := range out.Header {
		if was, ok := req.Header[name]; !ok {
			delete(shown.Header, name)
		} else if !slices.Equal(was, values) {
			shown.Header[name] = was
		}
	}
	if got.URL != nil && *got.URL == *out.URL {
		shown.URL = req.URL
	}
	return shown
}

func (d *door) transport() http.RoundTripper {
	if d.cfg.Transport == nil {
		return http.DefaultTransport
	}
	return d.cfg.Transport
}

// refuse closes the body of a request that is not sent, and returns err.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close()
	}
	return err
}

// clone returns a copy of req that Auth may change.
func clone(ctx context.Context, req *http.Request) *http.Request {
	out := req.WithContext(ctx)
	out.Header = req.Header.Clone()
	u := *req.URL
	out.URL = &u
	return out
}

// CloseIdleConnections closes the idle connections of Config.Transport.
func (d *door) CloseIdleConnections() {
	if c, ok := d.transport().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
