package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// directives are the directives that the cache acts on (RFC 9111, section 5.2,
// and RFC 5861). A duration that is absent is absent.
type directives struct {
	noStore, noCache, private, public, mustUnderstand bool
	mustRevalidate, proxyRevalidate, onlyIfCached     bool
	noCacheFields, privateFields                      []string // of their qualified forms

	maxAge, sMaxAge, maxStale, minFresh time.Duration
	staleWhileRevalidate, staleIfError  time.Duration
}

const absent time.Duration = -1

// forever is what delta-seconds mean that are greater than can be represented
// (RFC 9111, section 1.2.2), and a max-stale without a number.
const forever = 1 << 31 * time.Second

func noDirectives() directives {
	return directives{
		maxAge: absent, sMaxAge: absent, maxStale: absent, minFresh: absent,
		staleWhileRevalidate: absent, staleIfError: absent,
	}
}

// argument is what follows the name of a directive.
type argument struct {
	text      string
	given     bool
	malformed bool // the argument, or what stands around it
}

// add takes one directive in. Where it is malformed or contradicts another, what is
// stricter counts.
func (d *directives) add(name string, arg argument) {
	switch {
	case strings.EqualFold(name, "no-store"):
		d.noStore = true
	case strings.EqualFold(name, "no-cache"):
		d.noCacheFields = addFields(&d.noCache, d.noCacheFields, arg)
	case strings.EqualFold(name, "private"):
		d.privateFields = addFields(&d.private, d.privateFields, arg)
	case strings.EqualFold(name, "public"):
		d.public = d.public || !arg.given && !arg.malformed
	case strings.EqualFold(name, "must-understand"):
		d.mustUnderstand = d.mustUnderstand || !arg.given && !arg.malformed
	case strings.EqualFold(name, "must-revalidate"):
		d.mustRevalidate = true
	case strings.EqualFold(name, "proxy-revalidate"):
		d.proxyRevalidate = true
	case strings.EqualFold(name, "only-if-cached"):
		d.onlyIfCached = true
	case strings.EqualFold(name, "max-age"):
		addSeconds(&d.maxAge, arg)
	case strings.EqualFold(name, "s-maxage"):
		addSeconds(&d.sMaxAge, arg)
	case strings.EqualFold(name, "max-stale"):
		if !arg.given && !arg.malformed {
			arg.text = "99999999999"
		}
		addSeconds(&d.maxStale, arg)
	case strings.EqualFold(name, "min-fresh"):
		addSeconds(&d.minFresh, arg)
	case strings.EqualFold(name, "stale-while-revalidate"):
		addSeconds(&d.staleWhileRevalidate, arg)
	case strings.EqualFold(name, "stale-if-error"):
		addSeconds(&d.staleIfError, arg)
	}
}

// addFields reads the argument of no-cache and private: without one, or with
// one that is not a list of field names, they speak of the whole response.
func addFields(whole *bool, fields []string, arg argument) []string {
	before := len(fields)
	for name := range strings.SplitSeq(arg.text, ",") {
		name = strings.Trim(name, " \t")
		if name == "" {
			continue
		}
		if tokenLen(name) != len(name) {
			*whole = true
			return fields
		}
		fields = append(fields, http.CanonicalHeaderKey(name))
	}
	if arg.malformed || len(fields) == before {
		*whole = true
	}
	return fields
}

// addSeconds reads delta-seconds. What is no number counts as 0, and so do two
// that differ (RFC 9111, section 4.2.1).
func addSeconds(d *time.Duration, arg argument) {
	v, ok := deltaSeconds(arg.text)
	if !ok || arg.malformed || *d != absent && *d != v {
		v = 0
	}
	*d = v
}

// deltaSeconds parses delta-seconds (RFC 9111, section 1.2.2).
func deltaSeconds(s string) (d time.Duration, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return forever, true
	}
	return time.Duration(n) * time.Second, true
}

// parseCacheControl reads the lines of a Cache-Control field.
func parseCacheControl(lines []string) directives {
	d := noDirectives()
	for _, s := range lines {
		for s != "" {
			var name string
			var arg argument
			name, arg, s = nextDirective(s)
			if name != "" {
				d.add(name, arg)
			}
		}
	}
	return d
}

// nextDirective cuts the first member off a list of directives. A comma within
// quotes does not end it.
func nextDirective(s string) (name string, arg argument, rest string) {
	s = strings.TrimLeft(s, " \t,")
	n := tokenLen(s)
	name, s = s[:n], s[n:]
	if strings.HasPrefix(s, "=") {
		arg.given, s = true, s[1:]
		if strings.HasPrefix(s, `"`) {
			arg.text, s, arg.malformed = quotedString(s)
		} else {
			n := tokenLen(s)
			arg.text, s = s[:n], s[n:]
			arg.malformed = n == 0
		}
	}
	s = strings.TrimLeft(s, " \t")
	for s != "" && s[0] != ',' {
		arg.malformed = true
		if s[0] == '"' {
			_, s, _ = quotedString(s)
		} else {
			s = s[1:]
		}
	}
	return name, arg, s
}

// quotedString reads the quoted-string at the start of s (RFC 9110, section 5.6.4).
func quotedString(s string) (text, rest string, malformed bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], false
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", true
}

// tokenLen returns the length of the token at the start of s (RFC 9110, section
// 5.6.2).
func tokenLen(s string) int {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return i
		}
	}
	return len(s)
}

// parseTargeted reads the first of the targeted fields that is valid and not
// empty (RFC 9213, section 2.2).
func parseTargeted(h http.Header, fields []string) (d directives, ok bool) {
	for _, field := range fields {
		lines := h[field]
		if len(lines) == 0 {
			continue
		}
		members, err := httpfield.ParseDictionary(lines)
		if err != nil || len(members) == 0 {
			continue
		}
		d = noDirectives()
		for _, m := range members {
			switch v := m.Value.(type) {
			case bool:
				if v { // ?0 is the value of no directive
					d.add(m.Key, argument{})
				}
			case int64:
				text := strconv.FormatInt(v, 10)
				d.add(m.Key, argument{given: true, text: text, malformed: v < 0})
			case string:
				// A number has to be an Integer (section 2.1).
				_, number := deltaSeconds(v)
				d.add(m.Key, argument{given: true, text: v, malformed: number})
			default:
				d.add(m.Key, argument{given: true, malformed: true})
			}
		}
		return d, true
	}
	return d, false
}
