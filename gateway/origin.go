package gateway

import (
	"errors"
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
