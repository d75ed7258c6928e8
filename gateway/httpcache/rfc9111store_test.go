package httpcache_test

import (
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

var (
	shared    = httpcache.Config{Shared: true}
	heuristic = httpcache.Config{Heuristic: 0.1}
)

// RFC 9111, sections 1 to 3: what is stored.
func TestRFC9111Storing(t *testing.T) {
	rows := []row{
		{"1.2.2", "greater numbers of seconds than can be represented are 2^31", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=99999999999999999999
			= miss
			+ 87600h
			= hit`},
		{"2", "the target URI is the key, its query included", httpcache.Config{}, `
			> GET /?a
			< 200 | Cache-Control: max-age=60
			= miss
			> GET /?b
			= miss
			> GET /?a
			= hit
			> GET /
			= miss`},
		{"3", "a method that the cache does not store is forwarded", httpcache.Config{}, `
			> OPTIONS /
			< 200 | Cache-Control: max-age=60
			= miss
			= miss
			> GET /
			= miss`},
		{"3", "no-store", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60, NO-STORE
			= miss
			= miss`},
		{"3", "no-store with a needless argument, or malformed", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: no-store="x", max-age=60
			= miss
			< 200 | Cache-Control: no-store x, max-age=60
			= miss
			= miss`},
		{"3", "a 206 is not stored", httpcache.Config{}, `
			> GET / | Range: bytes=0-3
			< 206 | Cache-Control: max-age=60 | Content-Range: bytes 0-3/10
			= miss
			> GET /
			= miss`},
		{"3", "a 304 is not stored", httpcache.Config{}, `
			> GET / | If-None-Match: "a"
			< 304 | Cache-Control: max-age=60 | ETag: "a"
			= miss 304
			> GET /
			= miss`},
		{"3", "a status that is not known, with explicit freshness", httpcache.Config{}, `
			> GET /
			< 599 | Cache-Control: max-age=60
			= miss 599
			= hit 599`},
		{"3", "public makes a response storable", httpcache.Config{}, `
			> GET /
			< 599 | Cache-Control: public | ETag: "a"
			= miss
			= miss
			? If-None-Match: "a"`},
		{"3", "private makes it storable in a private cache", httpcache.Config{}, `
			> GET /
			< 599 | Cache-Control: private | ETag: "a"
			= miss
			= miss
			? If-None-Match: "a"`},
		{"3", "public with an argument is not public", httpcache.Config{}, `
			> GET /
			< 599 | Cache-Control: public="x" | ETag: "a"
			= miss
			= miss
			? !If-None-Match`},
		{"3", "neither a status nor a directive makes it storable", httpcache.Config{}, `
			> GET /
			< 599 | ETag: "a"
			= miss
			= miss
			? !If-None-Match`},
		{"3.1", "unknown fields are stored", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | X-New: a | X-New: b
			= miss
			= hit | X-New: a, b`},
		{"3.1", "Connection, what it lists, and a proxy's fields are not", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Connection: a, b | A: 1 | B: 2 | C: 3 | Proxy-Authenticate: x | Proxy-Authentication-Info: x | Proxy-Authorization: x | Keep-Alive: x | TE: x | Upgrade: x
			= miss
			= hit | !Connection | !A | !B | C: 3 | !Proxy-Authenticate | !Proxy-Authentication-Info | !Proxy-Authorization | !Keep-Alive | !TE | !Upgrade`},
		{"3.2", "a 304 replaces fields, adds fields and leaves the others", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a" | A: 1 | B: 1
			= miss
			+ 5s
			< 304 | Cache-Control: max-age=60 | ETag: "a" | B: 2 | C: 2
			= validated body=body_1 | A: 1 | B: 2 | C: 2
			= hit body=body_1 | A: 1 | B: 2 | C: 2 | Cache-Control: max-age=60`},
		{"3.2", "but not what describes the stored content", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a" | Content-Length: 6 | Content-Encoding: x
			= miss
			+ 5s
			< 304 | Cache-Control: max-age=60 | ETag: "a" | Content-Length: 10 | Content-Encoding: y | Content-Range: z | Connection: d | D: 1
			= validated body=body_1 | Content-Length: 6 | Content-Encoding: x | !Content-Range | !D | !Connection`},
		{"3.3", "an incomplete response is not stored", httpcache.Config{}, `
			> GET /
			< cut | Cache-Control: max-age=60
			= miss
			= miss`},
		{"3.5", "a shared cache does not reuse a response to Authorization", shared, `
			> GET / | Authorization: a
			< 200 | Cache-Control: max-age=60
			= miss
			= miss
			> GET /
			= miss`},
		{"3.5", "unless must-revalidate", shared, `
			> GET / | Authorization: a
			< 200 | Cache-Control: max-age=60, must-revalidate
			= miss
			= hit
			> GET /
			= hit`},
		{"3.5", "or public", shared, `
			> GET / | Authorization: a
			< 200 | Cache-Control: max-age=60, public
			= miss
			> GET /
			= hit`},
		{"3.5", "or s-maxage", shared, `
			> GET / | Authorization: a
			< 200 | Cache-Control: s-maxage=60
			= miss
			> GET /
			= hit`},
		{"3.5", "a private cache reuses it for the same user only", httpcache.Config{}, `
			> GET / | Authorization: a
			< 200 | Cache-Control: max-age=60, public
			= miss
			= hit
			> GET / | Authorization: b
			= miss
			> GET /
			= miss`},
		{"4.2.2", "no heuristics unless asked for", httpcache.Config{}, `
			> GET /
			< 200 | Last-Modified: {-1000}
			= miss
			= miss
			? If-Modified-Since: {-1000}`},
	}
	for _, code := range []string{"200", "203", "300", "301", "308", "404", "405", "410", "414", "501"} {
		rows = append(rows, row{"4.2.2", code + " is heuristically cacheable", heuristic, `
			> GET /
			< ` + code + ` | Last-Modified: {-1000}
			= miss
			+ 99s
			= hit ` + code + `
			+ 2s
			= miss`})
	}
	for _, code := range []string{"201", "202", "302", "303", "307", "400", "403", "500", "502", "503", "504", "599"} {
		rows = append(rows, row{"4.2.2", code + " is not heuristically cacheable", heuristic, `
			> GET /
			< ` + code + ` | Last-Modified: {-1000}
			= miss
			= miss
			? !If-Modified-Since`})
	}
	rows = append(rows,
		row{"4.2.2", "no heuristics when there is an explicit time", heuristic, `
			> GET /
			< 200 | Last-Modified: {-100000} | Expires: {-10}
			= miss
			= miss`},
		row{"4.2.2", "public is heuristically cacheable", heuristic, `
			> GET /
			< 599 | Last-Modified: {-1000} | Cache-Control: public
			= miss
			= hit`},
		row{"4.2.2", "private is not", heuristic, `
			> GET /
			< 599 | Last-Modified: {-1000} | Cache-Control: private
			= miss
			= miss
			? If-Modified-Since: {-1000}`},
		row{"4.2.2", "a guess is for a day at most", heuristic, `
			> GET /
			< 200 | Last-Modified: {-100000000}
			= miss
			+ 23h
			= hit
			+ 2h
			= miss`},
	)
	runRows(t, rows)
}
