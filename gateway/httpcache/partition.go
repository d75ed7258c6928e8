package httpcache

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/belay-go/belay/internal/identity"
)

// Credentials names whom a request belongs to by what it has of credentials: the
// identity that the Auth of a gateway has, or else an Authorization, cookies, userinfo,
// and all header fields whose names speak of a credential, a user, an account or a
// tenant, in whatever case: X-Api-Key, private-token, Stripe-Account. "" means nobody
// in particular.
//
// It is what [Transport] goes by unless it has a Partition. The name has the
// credentials in it as they are: it is for [Cache.PurgePartition], and not for a log.
func Credentials(req *http.Request) string {
	return string(appendCredentials(nil, req, fieldsOf(req.Header), identity.From(req.Context())))
}

// appendCredentials appends each credential with its length, so that no two sets of
// them have the same name.
func appendCredentials(b []byte, req *http.Request, has fieldSet, id identity.Identity) []byte {
	if id.Name != "" {
		b = appendText(appendText(b, ""), id.Name)
	}
	var few [8]string
	names := append(few[:0], "Authorization", "Cookie")
	if has&hasOther != 0 {
		for name := range req.Header {
			if name != "Authorization" && name != "Cookie" && unusual(name)&hasPersonal != 0 {
				names = append(names, name)
			}
		}
		slices.Sort(names)
	}
	for _, name := range names {
		key := http.CanonicalHeaderKey(name)
		for _, v := range req.Header[name] {
			// What the identity was granted is a token of many.
			if key != "Authorization" || id.Name == "" || v != id.Granted {
				b = appendText(appendText(b, key), v)
			}
		}
	}
	if u := req.URL; u != nil && u.User != nil {
		b = appendText(appendText(b, "@"), u.User.String())
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// By returns a function for Transport.Partition: whom a request belongs to is said by
// the identity that the Auth of a gateway has and by these header fields, and by
// nothing else. "Cookie:session" is the one cookie of that name. Names of fields may
// be in any case. A request that has none of them belongs to its [Credentials]: an
// anonymous one, and one whose credentials By does not know.
//
// By panics if a name is not that of a field, or of a cookie after "Cookie:".
//
//	httpcache.By("Authorization", "Stripe-Account")  // chosen for each call
//	httpcache.By("Cookie:session")                   // whatever other cookies change
func By(names ...string) func(*http.Request) string {
	names = slices.Clone(names)
	for _, name := range names {
		field, cookie, one := strings.Cut(name, ":")
		if !isToken(field) || one && (!strings.EqualFold(field, "Cookie") || !isToken(cookie)) {
			panic(fmt.Sprintf("httpcache: By(%q): want the name of a header field, or Cookie:name", name))
		}
	}
	return func(req *http.Request) string {
		var b []byte
		id := identity.From(req.Context())
		if id.Name != "" {
			b = appendText(appendText(b, ""), id.Name)
		}
		for _, name := range names {
			field, cookie, one := strings.Cut(name, ":")
			for _, v := range valuesOf(req.Header, field) {
				switch {
				case !one:
					if http.CanonicalHeaderKey(field) != "Authorization" || id.Name == "" || v != id.Granted {
						b = appendText(appendText(b, name), v)
					}
				default:
					for pair := range strings.SplitSeq(v, ";") {
						if k, v, _ := strings.Cut(pair, "="); strings.Trim(k, " \t") == cookie {
							b = appendText(appendText(b, name), v)
						}
					}
				}
			}
		}
		if len(b) == 0 {
			b = appendCredentials(nil, req, fieldsOf(req.Header), id)
		}
		return string(b)
	}
}

func isToken(s string) bool { return s != "" && tokenLen(s) == len(s) }

// valuesOf returns the values of a field, however its name is spelled.
func valuesOf(h http.Header, field string) []string {
	var values []string
	spellings := 0
	for name, v := range h {
		if strings.EqualFold(name, field) {
			values, spellings = v, spellings+1
		}
	}
	if spellings > 1 {
		return canonical(h)[http.CanonicalHeaderKey(field)]
	}
	return values
}

// A partition is whose responses may answer a request. One that has no name is a
// Transport's own, or, in a shared cache, everybody's.
type partition struct {
	sum   [16]byte   // of the name; all zero: it has none
	owner *Transport // if it has none
}

// named reports whether it is known whose the responses are. Otherwise those that are
// somebody's are not kept.
func (p partition) named() bool { return p.sum != [16]byte{} }

// partition returns the one that a request belongs to.
func (t *Transport) partition(req *http.Request, has fieldSet, id identity.Identity) partition {
	c := t.Cache
	if t.Partition != nil {
		if name := t.Partition(req); name != "" {
			return partition{sum: c.sum([]byte(name))}
		}
	} else if !c.cfg.Shared {
		if has&hasPersonal != 0 || id.Name != "" || req.URL.User != nil {
			var buf [512]byte
			if name := appendCredentials(buf[:0], req, has, id); len(name) > 0 {
				return partition{sum: c.sum(name)}
			}
		}
	}
	if c.cfg.Shared {
		return partition{}
	}
	return partition{owner: t}
}

const (
	maxSums     = 64 // names whose sums are remembered
	maxSumsName = 1 << 10
)

// sum returns what stands for the name of a partition, so that none is kept for
// longer than it is in use. The salt keeps whoever sees it from testing guesses.
func (c *Cache) sum(name []byte) [16]byte {
	known := c.sums.Load()
	if known != nil {
		if sum, ok := (*known)[string(name)]; ok {
			return sum
		}
	}
	long := sha256.Sum256(append(c.salt[:len(c.salt):len(c.salt)], name...))
	sum := [16]byte(long[:16])
	if len(name) <= maxSumsName {
		more := map[string][16]byte{string(name): sum}
		if known != nil && len(*known) < maxSums { // or begin anew
			maps.Copy(more, *known)
		}
		c.sums.Store(&more)
	}
	return sum
}
