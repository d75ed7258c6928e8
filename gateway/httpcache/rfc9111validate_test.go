package httpcache_test

import (
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// RFC 9111, section 4.3: validation.
func TestRFC9111Validating(t *testing.T) {
	runRows(t, []row{
		{"4.3.1", "the request has the validators, and its selecting fields", httpcache.Config{}, `
			> GET / | A: 1
			< 200 | Cache-Control: max-age=1 | ETag: W/"a" | Last-Modified: {-100} | Vary: A
			= miss
			+ 5s
			< 304 | ETag: W/"a"
			= validated body=body_1
			? A: 1 | If-None-Match: W/"a" | If-Modified-Since: {-105}`},
		{"4.3.1", "a Last-Modified that is no date is no validator", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | Last-Modified: yesterday
			= miss
			+ 5s
			= miss
			? !If-Modified-Since`},
		{"4.3.2", "a condition is evaluated against what is stored", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a" | Last-Modified: {-100}
			= miss
			> GET / | If-None-Match: "b", W/"a"
			= hit 304
			> GET / | If-None-Match: "b"
			= hit 200
			> GET / | If-Modified-Since: {-99}
			= hit 304
			> GET / | If-Modified-Since: {-101}
			= hit 200
			> HEAD / | If-None-Match: *
			= hit 304`},
		{"4.3.2", "If-None-Match comes before If-Modified-Since", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a" | Last-Modified: {-100}
			= miss
			> GET / | If-None-Match: "a" | If-Modified-Since: {-200}
			= hit 304
			> GET / | If-None-Match: "b" | If-Modified-Since: {-99}
			= hit 200`},
		{"4.3.2", "without Last-Modified, Date takes its place", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Date: {-30}
			= miss
			> GET / | If-Modified-Since: {-30}
			= hit 304
			> GET / | If-Modified-Since: {-31}
			= hit 200`},
		{"4.3.2", "conditions for the origin are not evaluated", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a" | Last-Modified: {-100}
			= miss
			> GET / | If-Match: "a"
			= miss
			? If-Match: "a"
			> GET / | If-Unmodified-Since: {-50}
			= miss
			> GET /other | If-None-Match: "a"
			< 304 | ETag: "a"
			= miss 304
			? If-None-Match: "a"`},
		{"4.3.2", "conditions only apply to what would be a 200", httpcache.Config{}, `
			> GET /
			< 404 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			> GET / | If-None-Match: "a"
			= hit 404`},
		{"4.3.2", "a stale response, and a caller who asks about its own", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			> GET / | If-None-Match: "a"
			< 304 | ETag: "a" | Cache-Control: max-age=60
			= miss 304
			? If-None-Match: "a"
			> GET /
			= hit body=body_1`},
		{"4.3.3", "a full response replaces the stored one", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			< 200 | Cache-Control: max-age=60 | ETag: "b"
			= miss
			= hit body=body_2 | ETag: "b"`},
		{"4.3.3", "also if it is not stored itself", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			< 200 | Cache-Control: no-store
			= miss
			= miss
			? !If-None-Match`},
		{"4.3.3", "also if it has no validator", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1
			= miss
			+ 5s
			< 200 | Cache-Control: no-store
			= miss
			< error
			= error`},
		{"4.3.3", "a refusal replaces nothing", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			< 429
			= miss 429
			< error
			= hit body=body_1`},
		{"4.3.3", "a 5xx is passed on, and changes nothing", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			< 503
			= miss 503
			= miss
			? If-None-Match: "a"`},
		{"4.3.4", "a 304 with another strong validator is not about the stored response", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			< 304 | ETag: "b"
			= miss body=body_3
			? !If-None-Match
			= miss
			? !If-None-Match`},
		{"4.3.4", "a weak validator that corresponds is", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			< 304 | ETag: W/"a" | Cache-Control: max-age=60
			= validated body=body_1
			= hit`},
		{"4.3.4", "a 304 without validators answers for the only one that was asked about", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | Last-Modified: {-100}
			= miss
			+ 5s
			< 304 | Cache-Control: max-age=60
			= validated body=body_1
			= hit`},
		{"4.3.4", "freshness begins anew, from the Date and Age of the 304", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=10 | ETag: "a" | Age: 8
			= miss
			+ 5s
			< 304 | ETag: "a"
			= validated | Age: 0
			+ 9s
			= hit | Age: 9
			+ 1s
			< 304 | ETag: "a" | Age: 9
			= validated | Age: 9
			+ 1s
			= miss`},
		{"4.3.4", "without a Date, from when it came", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=10 | ETag: "a"
			= miss
			+ 60s
			< 304 | ETag: "a" | Date: none
			= validated | Age: 0 | Date: {0}
			+ 5s
			= hit | Age: 5`},
		{"4.3.4", "a 304 that forbids storing ends it, and no other variant", httpcache.Config{}, `
			> GET / | A: 1
			< 200 | Cache-Control: max-age=1 | ETag: "a" | Vary: A
			= miss
			> GET / | A: 2
			< 200 | Cache-Control: max-age=600 | Vary: A
			= miss
			+ 5s
			> GET / | A: 1
			< 304 | ETag: "a" | Cache-Control: no-store
			= validated body=body_1
			= miss
			? !If-None-Match
			> GET / | A: 2
			= hit body=body_2`},
		{"4.3.4", "also if it is the only one", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			< 304 | ETag: "a" | Cache-Control: no-store
			= validated body=body_1
			= miss
			? !If-None-Match`},
		{"4.3.5", "a 200 to HEAD updates what is stored", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a" | A: 1 | B: 1
			= miss
			+ 5s
			> HEAD /
			< 200 | Cache-Control: max-age=60 | ETag: "a" | A: 2
			= miss
			> GET /
			= hit body=body_1 | A: 2 | B: 1`},
		{"4.3.5", "or ends it, if a validator differs", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			> HEAD /
			< 200 | Cache-Control: max-age=60 | ETag: "b"
			= miss
			> GET /
			= miss
			? !If-None-Match`},
		{"4.3.5", "or the length", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | Content-Length: 6
			= miss
			+ 5s
			> HEAD /
			< 200 | Cache-Control: max-age=60 | Content-Length: 7
			= miss
			> GET /
			= miss`},
		{"4.3.5", "other statuses change nothing", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			> HEAD /
			< 405 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			> GET /
			= miss
			? If-None-Match: "a"`},
		{"4.3.5", "a length that is not in the stored header is that of the stored body", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			> HEAD /
			< 200 | Cache-Control: max-age=60 | ETag: "a" | Content-Length: 6
			= miss
			> GET /
			= hit body=body_1`},
		{"4.3.5", "and another one means that what is stored is outdated", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			> HEAD / | Cache-Control: no-cache
			< 200 | Cache-Control: max-age=60 | ETag: "a" | Content-Length: 7
			= miss
			> GET /
			= miss`},
		{"4.3.5", "but those that speak of the resource", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			> HEAD / | Cache-Control: no-cache
			< 410
			= miss
			> GET /
			= miss
			? !If-None-Match`},
	})
}
