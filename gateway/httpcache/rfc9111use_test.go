package httpcache_test

import (
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// RFC 9111, section 4: what is used, and when.
func TestRFC9111Using(t *testing.T) {
	runRows(t, []row{
		{"4", "a stored response has Age, in place of what it came with", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Age: 10
			= miss
			+ 3s
			= hit | Age: 13`},
		{"4", "it may be used for HEAD", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | A: 1
			= miss
			> HEAD /
			= hit 200 body= | A: 1`},
		{"4", "a response to HEAD is not used for GET", httpcache.Config{}, `
			> HEAD /
			< 200 | Cache-Control: max-age=60
			= miss
			> GET /
			= miss`},
		{"4", "unsafe methods are written through", httpcache.Config{}, `
			> PUT /
			< 200 | Cache-Control: max-age=60
			= miss
			= miss`},
		{"4", "of several suitable responses the most recent one is used, by Date", httpcache.Config{}, `
			> GET / | A: 1
			< 200 | Cache-Control: max-age=600 | Vary: A | Date: {-10}
			= miss
			> GET / | B: 1
			< 200 | Cache-Control: max-age=600 | Vary: B | Date: {-100}
			= miss
			> GET / | A: 1 | B: 1
			= hit body=body_1`},
		{"4.1", "selecting fields have to match", httpcache.Config{}, `
			> GET / | A: 1 | B: 2
			< 200 | Cache-Control: max-age=60 | Vary: a, B
			= miss
			= hit
			> GET / | A: 1 | B: 3
			= miss
			> GET / | A: 1
			= miss
			> GET / | A: 1 | B: 2 | C: 4
			= hit`},
		{"4.1", "a field that is absent matches absence only", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Vary: A
			= miss
			= hit
			> GET / | A:
			= miss
			> GET / | A: 1
			= miss`},
		{"4.1", "* never matches, wherever it stands", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Vary: A | Vary: , *
			= miss
			= miss`},
		{"4.1", "white space, lines, and the order and case of preferences do not matter", httpcache.Config{}, `
			> GET / | A: 1, 2 | Accept-Language: en, de;q=0.5
			< 200 | Cache-Control: max-age=60 | Vary: A, Accept-Language
			= miss
			> GET / | A: 1 | A: 2 | Accept-Language: DE; q=0.5,  EN
			= hit
			> GET / | A: 2, 1 | Accept-Language: en, de;q=0.5
			= miss
			> GET / | A: 1, 2 | Accept-Language: en, de
			= miss`},
		{"4.1", "several variants are stored", httpcache.Config{}, `
			> GET / | A: 1
			< 200 | Cache-Control: max-age=60 | Vary: A
			= miss
			> GET / | A: 2
			< 200 | Cache-Control: max-age=60 | Vary: A
			= miss
			> GET / | A: 1
			= hit body=body_1
			> GET / | A: 2
			= hit body=body_2`},
		{"4.2", "fresh until the age reaches the lifetime", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			+ 59s
			= hit | Age: 59
			+ 1s
			= miss`},
		{"4.2.1", "s-maxage comes first in a shared cache", shared, `
			> GET /
			< 200 | Cache-Control: max-age=1, s-maxage=60 | Expires: {-10}
			= miss
			+ 10s
			= hit`},
		{"4.2.1", "and does not exist in a private one", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: s-maxage=60, max-age=1
			= miss
			+ 10s
			= miss`},
		{"4.2.1", "max-age comes before Expires", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Expires: {-10}
			= miss
			= hit`},
		{"4.2.1", "Expires counts from Date", httpcache.Config{}, `
			> GET /
			< 200 | Date: {+400} | Expires: {+300}
			= miss
			= miss
			< 200 | Date: {-10} | Expires: {+10}
			= miss
			+ 9s
			= hit
			+ 1s
			= miss`},
		{"4.2.1", "contradicting values are stale", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1800, max-age=60
			= miss
			< 200 | Expires: {+60} | Expires: {+90}
			= miss
			= miss`},
		{"4.2.1", "and so are invalid ones", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60.0 | Expires: {+60}
			= miss
			< 200 | Cache-Control: max-age=-60
			= miss
			< 200 | Cache-Control: max-age='60'
			= miss
			< 200 | Cache-Control: max-age =60
			= miss
			< 200 | Cache-Control: max-age=60a
			= miss
			= miss`},
		{"4.2.3", "Age of the message, or the time since Date, whichever is more", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Age: 59
			= miss
			+ 2s
			= miss
			< 200 | Cache-Control: max-age=60 | Date: {-59}
			= miss
			+ 2s
			= miss`},
		{"4.2.4", "stale responses need a permission", httpcache.Config{StaleIfError: -1}, `
			> GET /
			< 200 | Cache-Control: max-age=1
			= miss
			+ 5s
			< error
			= error`},
		{"4.2.4", "being disconnected is one, within the configuration", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1
			= miss
			+ 5s
			< error
			= hit body=body_1 | Age: 5
			+ 1h
			< error
			= error`},
		{"4.2.4", "must-revalidate prohibits it", httpcache.Config{}, `
			> GET / | Cache-Control: max-stale, stale-if-error=60
			< 200 | Cache-Control: max-age=1, must-revalidate, stale-while-revalidate=60, stale-if-error=60
			= miss
			+ 5s
			< error
			= error`},
		{"4.2.4", "so does no-cache", httpcache.Config{}, `
			> GET / | Cache-Control: max-stale
			< 200 | Cache-Control: max-age=1, no-cache, stale-while-revalidate=60, stale-if-error=60 | ETag: "a"
			= miss
			< error
			= error`},
		{"4.2.4", "and proxy-revalidate and s-maxage in shared caches", shared, `
			> GET /
			< 200 | Cache-Control: max-age=1, proxy-revalidate
			= miss
			+ 5s
			< error
			= error
			< 200 | Cache-Control: s-maxage=1
			= miss
			+ 5s
			< error
			= error`},
		{"4.2.4", "but not in private ones", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1, proxy-revalidate, s-maxage=2
			= miss
			+ 5s
			< error
			= hit`},
		{"4.4", "a write invalidates the target, also by an unknown method", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> M-SEARCH /
			= miss
			> GET /
			= miss`},
		{"4.4", "not if it fails", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> POST /
			< 500
			= miss
			> DELETE /
			< 404
			= miss
			> GET /
			= hit`},
		{"4.4", "but if it may have succeeded", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> DELETE /
			< error
			= error
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> PUT /
			< 504
			= miss
			> GET /
			= miss`},
		{"4.4", "not by safe methods", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> OPTIONS /
			= miss
			> GET /
			= hit`},
		{"4.4", "Location and Content-Location of the same origin are invalidated too", httpcache.Config{}, `
			> GET /a
			< 200 | Cache-Control: max-age=60
			= miss
			> GET /b?c
			< 200 | Cache-Control: max-age=60
			= miss
			> POST /
			< 201 | Location: http://SERVICE.test:80/a | Content-Location: b?c
			= miss
			> GET /a
			= miss
			> GET /b?c
			= miss`},
		{"4.4", "of another origin they are not", httpcache.Config{}, `
			> GET https://service.test/a
			< 200 | Cache-Control: max-age=60
			= miss
			> GET http://service.test:8080/a
			< 200 | Cache-Control: max-age=60
			= miss
			> GET http://other.test/a
			< 200 | Cache-Control: max-age=60
			= miss
			> POST /
			< 201 | Location: https://service.test/a | Content-Location: http://service.test:8080/a
			= miss
			> POST /
			< 201 | Location: http://other.test/a
			= miss
			> GET https://service.test/a
			= hit
			> GET http://service.test:8080/a
			= hit
			> GET http://other.test/a
			= hit`},
	})
}
