package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// parseBase parses the base URL. Errors do not show it, as it may contain a password.
func parseBase(raw string) (*url.URL, error) {
	blame := func(problem string) error { return errors.New("gateway: Config.BaseURL " + problem) }
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, blame("is empty, want an absolute URL")
	case err != nil:
		return nil, blame("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, blame("has no scheme http or https")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, blame("has no host")
	case u.User != nil:
		return nil, blame("has userinfo; give the credentials to Config.Auth")
	case strings.Contains(raw, "?"):
		return nil, blame("has a query")
	case strings.Contains(raw, "#"):
		return nil, blame("has a fragment")
	case u.Path != "" && u.Path != "/":
		for segment := range strings.SplitSeq(strings.Trim(u.EscapedPath(), "/"), "/") {
			if segment == "" || climbs(segment) {
				return nil, blame(`has a segment that is empty, "." or ".."`)
			}
		}
		if strings.HasPrefix(u.Path, "//") || strings.HasSuffix(u.Path, "//") {
			return nil, blame(`has a segment that is empty, "." or ".."`)
		}
	}
	return u, nil
}

// sameOrigin reports whether u is of the origin of base.
func sameOrigin(u, base *url.URL) bool {
	if u == nil || u.Opaque != "" {
		return false
	}
	if u.Scheme == base.Scheme && u.Host == base.Host {
		return true
	}
	return strings.EqualFold(u.Scheme, base.Scheme) && strings.EqualFold(u.Hostname(), base.Hostname()) && port(u) == port(base)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// owns reports whether u is of the base origin.
func (g *Gateway) owns(u *url.URL) bool { return sameOrigin(u, g.base) }

const maxRedirects = 10

func (g *Gateway) checkRedirect(req *http.Request, via []*http.Request) error {
	var err error
	switch {
	case g.cfg.CheckRedirect != nil:
		err = g.cfg.CheckRedirect(req, via)
	case len(via) >= maxRedirects:
		err = fmt.Errorf("stopped after %d redirects", maxRedirects)
	case !g.owns(req.URL):
		err = fmt.Errorf("redirected to another origin, %s://%s", req.URL.Scheme, req.URL.Host)
	}
	if err != nil && err != http.ErrUseLastResponse {
		err = &redirectError{err}
	}
	return err
}

// redirectError marks an error of checkRedirect.
type redirectError struct{ error }

func (e *redirectError) Unwrap() error { return e.error }

// left reports whether req comes, through redirects, from another origin.
func (d *door) left(req *http.Request) bool {
	for req.Response != nil && req.Response.Request != nil {
		if req = req.Response.Request; !d.owns(req.URL) {
			return true
		}
	}
	return false
}

// harmless are the header fields that may go to another origin.
var harmless = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Cache-Control": true, "Content-Encoding": true,
	"Content-Language": true, "Content-Type": true, "If-Match": true, "If-Modified-Since": true, "If-None-Match": true,
	"If-Range": true, "If-Unmodified-Since": true, "Range": true, "User-Agent": true,
}

// anonymous returns a copy of req that has only harmless header fields.
func anonymous(ctx context.Context, req *http.Request) *http.Request {
	out := clone(ctx, req)
	for name := range out.Header {
		if !harmless[name] {
			delete(out.Header, name)
		}
	}
	out.URL.User = nil
	return out
}
