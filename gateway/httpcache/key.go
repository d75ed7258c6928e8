package httpcache

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"math/bits"
	"net/http"
	"net/url"
	"strings"
)

// A target is a target URI in its normal form (RFC 9110, section 4.2.3), in parts, so
// that looking one up allocates nothing.
type target struct {
	scheme, host, path, query string
	mark                      bool // there is a question mark
}

// A key is what stored responses are found by, before their Vary.
type key struct {
	target
	via string // where the request is sent, if that is not the target's host
	partition
}

// clone returns a key that does not keep the memory of a request.
func (k key) clone() key {
	text := k.scheme + k.host + k.path + k.query + k.via // in one piece
	cut := func(s *string) { *s, text = text[:len(*s)], text[len(*s):] }
	cut(&k.scheme)
	cut(&k.host)
	cut(&k.path)
	cut(&k.query)
	cut(&k.via)
	return k
}

// A hash stands for a key, and for its target, in tables. What is found there is
// compared.
type hash struct{ key, target uint64 }

// hashOf reads the strings of a key once. The sum of a partition is as good as random.
func hashOf(seed maphash.Seed, k *key) hash {
	t := maphash.Comparable(seed, k.target)
	h := hash{key: t ^ binary.NativeEndian.Uint64(k.sum[:]), target: t}
	if k.owner != nil {
		h.key ^= maphash.Comparable(seed, k.owner)
	}
	if k.via != "" {
		h.key ^= bits.RotateLeft64(maphash.String(seed, k.via), 32)
	}
	return h
}

// newKey returns the key of a request.
func newKey(req *http.Request, p partition) key {
	k := key{target: newTarget(req.URL, req.Host), partition: p}
	if req.Host != "" && req.Host != req.URL.Host {
		k.via = req.URL.Host
	}
	return k
}

// newTarget returns the target of a request that is sent to u with the Host field
// host.
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
