package httpcache

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/belay-go/belay/internal/identity"
)

// target is a target URI in its normal form (RFC 9110, section 4.2.3), in parts,
// so that looking one up allocates nothing.
type target struct {
	scheme, host, path, query string
	mark                      bool // there is a question mark
}

// key is what stored responses are found by, before their Vary.
type key struct {
	target
	via       string // where the request is sent, if that is not the target's host
	partition string
}

// clone returns a key that does not keep the memory of a request.
func (k key) clone() key {
	return key{
		target{strings.Clone(k.scheme), strings.Clone(k.host), strings.Clone(k.path), strings.Clone(k.query), k.mark},
		strings.Clone(k.via), strings.Clone(k.partition),
	}
}

// newTarget returns the target of a request that is sent to u with the Host
// field host.
func newTarget(u *url.URL, host string) target {
	return target{
		scheme: u.Scheme,
		host:   normalHost(u.Scheme, cmp.Or(host, u.Host)),
		path:   cmp.Or(normalEscapes(u.EscapedPath()), "/"),
		query:  normalEscapes(u.RawQuery),
		mark:   u.ForceQuery || u.RawQuery != "",
	}
}

// normalHost returns host in small letters and without the scheme's own port.
func normalHost(scheme, host string) string {
	for i := range len(host) {
		if c := host[i]; 'A' <= c && c <= 'Z' {
			host = strings.ToLower(host)
			break
		}
	}
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":")
}

// normalEscapes decodes the percent-encodings in s that need not be, and writes the
// others in large letters (RFC 3986, section 6.2.2).
func normalEscapes(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	var b strings.Builder
	for ; i >= 0; i = strings.IndexByte(s, '%') {
		b.WriteString(s[:i])
		var c [1]byte
		if len(s) < i+3 {
			break
		}
		if _, err := hex.Decode(c[:], []byte(s[i+1:i+3])); err != nil {
			b.WriteByte('%')
			s = s[i+1:]
			continue
		}
		if isUnreserved(c[0]) {
			b.WriteByte(c[0])
		} else {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		s = s[i+3:]
	}
	b.WriteString(s[max(0, i):])
	return b.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// hasPrefix reports whether the URI begins with prefix, which has been normalised.
func (t target) hasPrefix(prefix target) bool {
	if t.scheme != prefix.scheme || t.host != prefix.host {
		return false
	}
	if prefix.mark {
		return t.mark && t.path == prefix.path && strings.HasPrefix(t.query, prefix.query)
	}
	return strings.HasPrefix(t.path, prefix.path)
}

// key returns the key of a request.
func (c *Cache) key(req *http.Request, has fieldSet) key {
	k := key{target: newTarget(req.URL, req.Host)}
	if c.cfg.Partition != nil || has&hasCredentials != 0 || req.URL.User != nil || identity.From(req.Context()).Name != "" {
		k.partition = c.Partition(req)
	}
	if req.Host != "" && req.Host != req.URL.Host {
		k.via = req.URL.Host
	}
	return k
}

// A fieldSet says which fields of interest a request has. Going through a header
// once is faster than looking each of them up.
type fieldSet uint8

const (
	hasCredentials fieldSet = 1 << iota
	hasDirectives
	hasRange
	hasConditions       // that a cache may evaluate
	hasOriginConditions // that it may not
	hasUpgrade
)

func fieldsOf(h http.Header) (has fieldSet) {
	for name := range h {
		switch name {
		case "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token":
			has |= hasCredentials
		case "Cache-Control":
			has |= hasDirectives
		case "Range":
			has |= hasRange
		case "If-None-Match", "If-Modified-Since", "If-Range":
			has |= hasConditions
		case "If-Match", "If-Unmodified-Since":
			has |= hasOriginConditions
		case "Upgrade":
			has |= hasUpgrade
		}
	}
	return has
}

// credentialFields are the fields whose values identify who makes a request.
var credentialFields = [...]string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token"}

// Partition returns the name of the partition that req belongs to: what
// Config.Partition returns, or, in its absence, a hash of the credentials in
// the request, "" if there are none. Below a [Gateway] these are, beside what the
// request has of its own, the Identity of its Auth, so that a new token does not
// lose what is stored. A shared cache has one partition.
func (c *Cache) Partition(req *http.Request) string {
	if c.cfg.Partition != nil {
		return c.cfg.Partition(req)
	}
	if c.cfg.Shared {
		return ""
	}
	var buf [512]byte
	secret := buf[:0]
	id := identity.From(req.Context())
	if id.Name != "" {
		secret = append(append(append(secret, 0), id.Name...), 0)
	}
	for _, name := range credentialFields {
		for _, v := range req.Header[name] {
			if name == "Authorization" && v == id.Granted && id.Name != "" {
				continue // a token, of many that the identity gets
			}
			secret = append(append(append(append(secret, name...), 0), v...), 0)
		}
	}
	if u := req.URL; u != nil && u.User != nil {
		secret = append(secret, u.User.String()...)
	}
	if len(secret) == 0 {
		return ""
	}
	// The salt keeps those who see the name from testing guesses.
	sum := sha256.Sum256(append(secret, c.salt[:]...))
	return hex.EncodeToString(sum[:16])
}
