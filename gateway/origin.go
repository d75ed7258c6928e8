package gateway

import (
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

// owns reports whether u is of the base origin.
func (g *Gateway) owns(u *url.URL) bool {
	if u == nil || u.Opaque != "" {
		return false
	}
	if u.Scheme == g.base.Scheme && u.Host == g.base.Host {
		return true
	}
	return strings.EqualFold(u.Scheme, g.base.Scheme) && strings.EqualFold(u.Hostname(), g.base.Hostname()) && port(u) == port(g.base)
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
