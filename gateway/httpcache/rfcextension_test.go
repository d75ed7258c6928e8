package httpcache_test

import (
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

func TestRFC5861(t *testing.T) {
	runRows(t, []row{
		{"3.1", "the example of stale-while-revalidate", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=600, stale-while-revalidate=30 | ETag: "a"
			= miss
			+ 600s
			< 304 | ETag: "a"
			= hit body=body_1 | Age: 600
			? If-None-Match: "a"
			= hit body=body_1 | Age: 0
			+ 631s
			= miss`},
		{"3", "the answer may be another response", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1, stale-while-revalidate=30
			= miss
			+ 5s
			< 200 | Cache-Control: max-age=60
			= hit body=body_1
			= hit body=body_2`},
		{"3", "a failing origin is asked again", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1, stale-while-revalidate=30 | ETag: "a"
			= miss
			+ 5s
			< error
			= hit
			+ 1s
			< 503
			= hit
			+ 2s
			< 304 | ETag: "a" | Cache-Control: max-age=60
			= hit
			= hit | Age: 0`},
		{"4.1", "the example of stale-if-error", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=600, stale-if-error=1200
			= miss
			+ 900s
			< 500
			= hit body=body_1 | Age: 900
			+ 901s
			< 500
			= miss 500`},
		{"4", "these statuses and no others are errors", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1, stale-if-error=1200
			= miss
			+ 5s
			< 502
			= hit 200
			+ 1s
			< 503
			= hit 200
			+ 2s
			< 504
			= hit 200
			+ 4s
			< 501
			= miss 501
			< 429
			= miss 429
			< 503
			= hit 200`},
		{"4", "an error of the layers below is one", httpcache.Config{StaleIfError: -1}, `
			> GET /
			< 200 | Cache-Control: max-age=1, stale-if-error=60
			= miss
			+ 5s
			< error
			= hit body=body_1
			+ 1m
			< error
			= error`},
		{"4", "the origin's limit comes before the configuration's", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1, stale-if-error=0
			= miss
			+ 5s
			< error
			= error`},
		{"4", "a request can ask for it", httpcache.Config{StaleIfError: -1}, `
			> GET /
			< 200 | Cache-Control: max-age=1
			= miss
			+ 5s
			> GET / | Cache-Control: stale-if-error=60
			< 503
			= hit 200
			> GET / | Cache-Control: stale-if-error=3
			< 503
			= miss 503`},
		{"4", "or ask for nothing stale", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1, stale-if-error=60
			= miss
			+ 5s
			> GET / | Cache-Control: no-cache
			< error
			= error
			> GET / | Cache-Control: max-age=60
			< 503
			= miss 503`},
	})
}

func TestRFC9211(t *testing.T) {
	runRows(t, []row{
		{"2", "the value of a cache further away is preserved", httpcache.Config{Name: "my cache"}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Cache-Status: Far; hit
			= miss | Cache-Status: Far; hit, "my cache"; fwd=uri-miss; stored
			= hit | Cache-Status: Far; hit, "my cache"; hit; ttl=60`},
		{"2", "it is added to what is made of a stored response", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			> GET / | If-None-Match: "a"
			= hit 304 | Cache-Status: belay; hit; ttl=60`},
		{"2.1", "hit, stale hits included", httpcache.Config{}, `
			> GET / | Cache-Control: max-stale
			< 200 | Cache-Control: max-age=60
			= miss
			+ 472s
			= hit | Cache-Status: belay; hit; ttl=-412
			> GET /
			< error
			= hit | Cache-Status: belay; hit; ttl=-412; detail=stale-if-error`},
		{"2.4", "ttl", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			= hit | Cache-Status: belay; hit; ttl=60
			+ 500ms
			= hit | Cache-Status: belay; hit; ttl=59
			+ 500ms
			= hit | Cache-Status: belay; hit; ttl=59`},
		{"2.2", "fwd: vary-miss, request, stale, method, bypass", httpcache.Config{}, `
			> GET / | A: 1
			< 200 | Cache-Control: max-age=60 | Vary: A | ETag: "a"
			= miss | Cache-Status: belay; fwd=uri-miss; stored
			> GET / | A: 2
			= miss | Cache-Status: belay; fwd=vary-miss
			> GET / | A: 1 | Cache-Control: no-cache
			< 503
			= miss | Cache-Status: belay; fwd=request
			+ 60s
			> GET / | A: 1
			< 503
			= miss | Cache-Status: belay; fwd=stale
			> GET / | Cache-Control: no-store
			= miss | Cache-Status: belay; fwd=bypass
			> OPTIONS /
			= miss | Cache-Status: belay; fwd=method
			> PATCH /
			= miss | Cache-Status: belay; fwd=method`},
		{"2.3", "fwd-status", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			+ 60s
			< 304 | ETag: "a"
			= validated | Cache-Status: belay; fwd=stale; fwd-status=304; ttl=60; stored`},
	})
}

var targeted = httpcache.Config{Shared: true, Targeted: []string{"examplecdn-cache-control", "CDN-Cache-Control"}}

func TestRFC9213(t *testing.T) {
	runRows(t, []row{
		{"2.1", "an empty or invalid field is ignored", targeted, `
			> GET /
			< 200 | Cache-Control: no-store | CDN-Cache-Control:
			= miss
			< 200 | Cache-Control: no-store | CDN-Cache-Control: max-age=60, &&&
			= miss
			< 200 | Cache-Control: no-store | CDN-Cache-Control: Max-Age=60
			= miss
			< 200 | Cache-Control: no-store | CDN-Cache-Control: max-age=60,
			= miss
			< 200 | Cache-Control: max-age=60 | CDN-Cache-Control: "x"
			= miss
			= hit
			> GET /empty
			< 200 | Cache-Control: max-age=60 | CDN-Cache-Control:
			= miss
			= hit`},
		{"2.1", "values have the type of their directive, and parameters are ignored", targeted, `
			> GET /a
			< 200 | CDN-Cache-Control: max-age="60"
			= miss
			< 200 | CDN-Cache-Control: max-age=60.0
			= miss
			< 200 | CDN-Cache-Control: max-age=-60
			= miss
			< 200 | CDN-Cache-Control: max-age=60;foo="bar"
			= miss
			= hit
			> GET /b
			< 200 | CDN-Cache-Control: no-store=?0, max-age=60, no-cache="a" | A: 1
			= miss
			= hit | !A`},
		{"2.2", "the first of the target list that is valid counts", targeted, `
			> GET /
			< 200 | CDN-Cache-Control: no-store | ExampleCDN-Cache-Control: max-age=60
			= miss
			+ 30s
			= hit
			+ 30s
			< 200 | CDN-Cache-Control: max-age=60 | ExampleCDN-Cache-Control: Max-Age=1
			= miss
			= hit`},
		{"2.2", "Cache-Control and Expires are ignored then", targeted, `
			> GET /
			< 200 | Cache-Control: max-age=600, s-maxage=600 | Expires: {+600} | CDN-Cache-Control: max-age=60
			= miss
			+ 60s
			< 200 | Cache-Control: max-age=600 | Expires: {+600} | CDN-Cache-Control: none
			= miss
			= miss`},
		{"2.2", "fields that are not on the list change nothing, and are passed on", shared, `
			> GET /
			< 200 | Cache-Control: max-age=60 | CDN-Cache-Control: no-store
			= miss | CDN-Cache-Control: no-store
			= hit | CDN-Cache-Control: no-store`},
		{"2.2", "max-age, must-revalidate, no-store, no-cache, private", targeted, `
			> GET / | Cache-Control: max-stale
			< 200 | Cache-Control: max-age=60 | CDN-Cache-Control: max-age=60, private
			= miss
			< 200 | Cache-Control: max-age=60 | CDN-Cache-Control: max-age=60, no-store
			= miss
			< 200 | Cache-Control: max-age=60 | CDN-Cache-Control: max-age=60, no-cache
			= miss
			< 200 | Cache-Control: max-age=60 | CDN-Cache-Control: max-age=1, must-revalidate
			= miss
			= hit
			+ 1s
			= miss`},
		{"2.3", "Age counts for it as well", targeted, `
			> GET /
			< 200 | CDN-Cache-Control: max-age=60 | Age: 90
			= miss
			= miss`},
		{"3.1", "the examples", targeted, `
			> GET /a
			< 200 | Cache-Control: max-age=60, s-maxage=120 | CDN-Cache-Control: max-age=600
			= miss
			+ 599s
			= hit
			+ 1s
			= miss
			> GET /b
			< 200 | CDN-Cache-Control: max-age=600 | Cache-Control: no-store
			= miss
			= hit
			> GET /c
			< 200 | Cache-Control: no-store
			= miss
			= miss
			> GET /d
			< 200 | Cache-Control: no-store | CDN-Cache-Control: none | ETag: "a"
			= miss
			= miss
			? If-None-Match: "a"`},
	})
}
