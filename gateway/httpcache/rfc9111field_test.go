package httpcache_test

import (
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// RFC 9111, section 5: the fields.
func TestRFC9111Fields(t *testing.T) {
	runRows(t, []row{
		{"5.1", "the first of several Age values counts", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Age: 90, 0
			= miss
			< 200 | Cache-Control: max-age=60 | Age: 90 | Age: 0
			= miss
			< 200 | Cache-Control: max-age=60 | Age: 0, 90
			= miss
			= hit`},
		{"5.1", "an invalid one is ignored", httpcache.Config{}, `
			> GET /a
			< 200 | Cache-Control: max-age=60 | Age: abc
			= miss
			= hit | Age: 0
			> GET /b
			< 200 | Cache-Control: max-age=60 | Age: -90
			= miss
			= hit | Age: 0
			> GET /c
			< 200 | Cache-Control: max-age=60 | Age: 90.0
			= miss
			= hit | Age: 0`},
		{"5.1", "a large one does not overflow", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Age: 2147483649
			= miss
			= miss`},
		{"5.2", "directives in any case, in several lines, as token or quoted-string", httpcache.Config{}, `
			> GET /a
			< 200 | Cache-Control: public | Cache-Control: foo, MAX-age="60"
			= miss
			= hit
			> GET /b
			< 200 | Cache-Control: ,, , max-age=0060 ,
			= miss
			= hit`},
		{"5.2", "what stands within quotes is not a directive", httpcache.Config{}, `
			> GET /a
			< 200 | Cache-Control: extension="max-age=60, \", public", max-age=0
			= miss
			= miss
			> GET /b
			< 200 | Cache-Control: extension="no-store", max-age=60
			= miss
			= hit`},
		{"5.2", "directives are passed on, in requests and responses", httpcache.Config{}, `
			> GET / | Cache-Control: no-cache, foo=bar
			< 200 | Cache-Control: max-age=60, foo=bar
			= miss | Cache-Control: max-age=60, foo=bar
			? Cache-Control: no-cache, foo=bar
			> GET /
			= hit | Cache-Control: max-age=60, foo=bar`},
		{"5.2.1.1", "request max-age", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			+ 10s
			> GET / | Cache-Control: max-age=10
			= hit
			> GET / | Cache-Control: max-age=9
			< 304 | ETag: "a"
			= validated
			> GET / | Cache-Control: max-age=0
			< 304 | ETag: "a"
			= validated`},
		{"5.2.1.1", "whoever sends it wants nothing stale", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1, stale-while-revalidate=60
			= miss
			+ 5s
			> GET / | Cache-Control: max-age=10
			= miss`},
		{"5.2.1.2", "request max-stale", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=10
			= miss
			+ 15s
			> GET / | Cache-Control: max-stale=5
			= hit
			> GET / | Cache-Control: max-stale
			= hit
			> GET / | Cache-Control: max-stale=4
			= miss`},
		{"5.2.1.3", "request min-fresh", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			+ 10s
			> GET / | Cache-Control: min-fresh=50
			= hit
			> GET / | Cache-Control: min-fresh=51
			= miss`},
		{"5.2.1.4", "request no-cache", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			> GET / | Cache-Control: no-cache
			< 304 | ETag: "a"
			= validated
			? If-None-Match: "a"`},
		{"5.2.1.5", "request no-store", httpcache.Config{}, `
			> GET / | Cache-Control: no-store
			< 200 | Cache-Control: max-age=60
			= miss
			> GET /
			= miss`},
		{"5.2.1.7", "request only-if-cached", httpcache.Config{}, `
			> GET / | Cache-Control: only-if-cached
			= hit 504
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> GET / | Cache-Control: only-if-cached
			= hit 200
			+ 90s
			= hit 504
			> GET / | Cache-Control: only-if-cached, max-stale=90
			= hit 200`},
		{"5.2.2.2", "must-revalidate: fresh is fresh, and an error when disconnected", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=10, must-revalidate
			= miss
			= hit
			+ 10s
			< error
			= error`},
		{"5.2.2.3", "must-understand overrides no-store for a known status", httpcache.Config{}, `
			> GET /a
			< 200 | Cache-Control: max-age=60, no-store, must-understand
			= miss
			= hit
			> GET /b
			< 599 | Cache-Control: max-age=60, no-store, must-understand
			= miss
			= miss
			> GET /c
			< 599 | Cache-Control: max-age=60, must-understand
			= miss
			= miss`},
		{"5.2.2.4", "no-cache: stored, and validated before each use", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60, No-Cache | ETag: "a"
			= miss
			< 304 | ETag: "a"
			= validated
			< 304 | ETag: "a"
			= validated`},
		{"5.2.2.4", "no-cache with fields: these are not reused", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: no-cache="a, b", max-age=60 | A: 1 | B: 2 | C: 3
			= miss | A: 1
			= hit | !A | !B | C: 3`},
		{"5.2.2.4", "in token form too, and strictly where it is malformed", httpcache.Config{}, `
			> GET /a
			< 200 | Cache-Control: no-cache=a, max-age=60 | A: 1
			= miss
			= hit | !A
			> GET /b
			< 200 | Cache-Control: no-cache="a b", max-age=60 | A: 1
			= miss
			= miss
			> GET /c
			< 200 | Cache-Control: no-cache="a, max-age=60
			= miss
			= miss
			> GET /d
			< 200 | Cache-Control: no-cache="a" b, max-age=60
			= miss
			= miss`},
		{"5.2.2.5", "no-store leaves what is stored alone", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> GET / | Cache-Control: no-cache
			< 200 | Cache-Control: no-store
			= miss
			> GET /
			= hit body=body_1`},
		{"5.2.2.7", "private: not in a shared cache", shared, `
			> GET /
			< 200 | Cache-Control: private, max-age=60
			= miss
			= miss`},
		{"5.2.2.7", "private with fields: without these in a shared cache", shared, `
			> GET /
			< 200 | Cache-Control: private="a", max-age=60 | A: 1 | B: 2
			= miss
			= hit | !A | B: 2`},
		{"5.2.2.7", "private has no effect of the kind in a private cache", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: private="a", max-age=60 | A: 1
			= miss
			= hit | A: 1
			> GET /b
			< 200 | Cache-Control: private, max-age=60
			= miss
			= hit`},
		{"5.2.2.10", "s-maxage is never used stale in a shared cache", shared, `
			> GET / | Cache-Control: max-stale
			< 200 | Cache-Control: s-maxage=10
			= miss
			= hit
			+ 10s
			= miss`},
		{"5.2.3", "unknown directives are ignored, whatever they are like", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: private, community="UCI", x=, =y, ;;, max-age=60
			= miss
			= hit`},
		{"5.3", "an invalid Expires, 0 above all, has expired", httpcache.Config{}, `
			> GET /
			< 200 | Expires: 0 | Cache-Control: public | ETag: "a"
			= miss
			< 200 | Expires: Thu, 18 Aug 2050 02:01:18 UTC
			= miss
			= miss`},
		{"5.3", "max-age makes Expires irrelevant, valid or not", httpcache.Config{}, `
			> GET /
			< 200 | Expires: 0 | Cache-Control: max-age=60
			= miss
			= hit`},
		{"5.4", "Pragma is deprecated", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Pragma: no-cache
			= miss
			> GET / | Pragma: no-cache
			= hit`},
		{"5.5", "Warning is obsolete: none is added", httpcache.Config{}, `
			> GET / | Cache-Control: max-stale
			< 200 | Cache-Control: max-age=1
			= miss
			+ 5s
			= hit | !Warning`},
	})
}
