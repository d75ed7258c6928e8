package httpcache_test

import (
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
)

// The parts of RFC 9110 that caching uses.
func TestRFC9110(t *testing.T) {
	rows := []row{
		{"4.2.3", "URIs that are equivalent are one", httpcache.Config{}, `
			> GET /~a/b%2fc?q=%41
			< 200 | Cache-Control: max-age=60
			= miss
			> GET /%7Ea/b%2Fc?q=A
			= hit
			> GET /~a/b/c?q=A
			= miss
			> GET /~A/b%2fc?q=A
			= miss
			> GET /~a/b%2fc
			= miss`},
		{"6.6.1", "a response without a Date gets one", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | Date: foo
			= miss
			+ 5s
			= hit | Date: {-5}`},
		{"8.8.3", "an ETag that is none matches nothing but itself at the origin", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: abc
			= miss
			> GET / | If-None-Match: abc
			= hit 200
			> GET / | If-None-Match: "abc"
			= hit 200`},
		{"9.3.3", "a response to POST for its own URI, with explicit freshness, is one to GET", httpcache.Config{}, `
			> POST /a
			< 200 | Cache-Control: max-age=60 | Content-Location: /a
			= miss
			> GET /a
			= hit body=body_1`},
		{"9.3.3", "for another URI, or without freshness, it is not", httpcache.Config{Heuristic: 0.1}, `
			> POST /a
			< 200 | Cache-Control: max-age=60 | Content-Location: /b
			= miss
			> GET /a
			= miss
			> GET /b
			= miss
			> POST /c
			< 200 | Content-Location: /c | Last-Modified: {-10000}
			= miss
			> GET /c
			= miss
			> PUT /e
			< 200 | Cache-Control: max-age=60 | Content-Location: /e
			= miss
			> GET /e
			= miss
			> POST /d
			< 201 | Cache-Control: max-age=60 | Content-Location: /d
			= miss
			> GET /d
			= miss`},
		{"13.1.5", "If-Range needs a strong validator that matches", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a" | Last-Modified: {-10}
			= miss
			> GET / | Range: bytes=0-1 | If-Range: "a"
			= hit 206
			> GET / | Range: bytes=0-1 | If-Range: "b"
			= hit 200
			> GET / | Range: bytes=0-1 | If-Range: W/"a"
			= hit 200
			> GET / | Range: bytes=0-1 | If-Range: {-10}
			= hit 206
			> GET / | Range: bytes=0-1 | If-Range: {-9}
			= hit 200`},
		{"13.1.5", "a date is one if it is a second older than Date", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: W/"a" | Last-Modified: {0}
			= miss
			> GET / | Range: bytes=0-1 | If-Range: {0}
			= hit 200
			> GET / | Range: bytes=0-1 | If-Range: W/"a"
			= hit 200`},
		{"13.2.2", "conditions come before ranges", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a"
			= miss
			> GET / | Range: bytes=0-1 | If-None-Match: "a"
			= hit 304 | !Content-Range`},
		{"14.1.2", "a range of what is stored", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | A: 1
			= miss
			> GET / | Range: bytes=0-1
			= hit 206 body=bo | Content-Range: bytes 0-1/6 | Content-Length: 2 | A: 1
			> GET / | Range: bytes=4-
			= hit 206 body=_1 | Content-Range: bytes 4-5/6
			> GET / | Range: bytes=-1
			= hit 206 body=1 | Content-Range: bytes 5-5/6
			> GET / | Range: BYTES=2-99
			= hit 206 body=dy_1 | Content-Range: bytes 2-5/6
			> GET / | Range: bytes=-99
			= hit 206 body=body_1 | Content-Range: bytes 0-5/6`},
		{"14.2", "what is not understood gets the whole", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> GET / | Range: lines=0-1
			= hit 200
			> GET / | Range: bytes=3-1
			= hit 200
			> GET / | Range: bytes=x-
			= hit 200
			> GET / | Range: bytes=-
			= hit 200
			> GET / | Range: bytes=0-1,3-4
			= hit 200
			> HEAD / | Range: bytes=0-1
			= hit 200`},
		{"14.2", "a range of a stale response is the origin's to give", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=1 | ETag: "a"
			= miss
			+ 5s
			> GET / | Range: bytes=0-1
			< 206 | Content-Range: bytes 0-1/6
			= miss 206
			? Range: bytes=0-1 | !If-None-Match`},
		{"15.4.5", "a 304 has what may update the caller's response, and no more", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60 | ETag: "a" | Last-Modified: {-10} | Content-Type: x | Content-Location: /a | Vary: B
			= miss
			> GET / | If-None-Match: "a"
			= hit 304 body= | Cache-Control: max-age=60 | ETag: "a" | Content-Location: /a | Vary: B | !Content-Type | !Last-Modified`},
		{"15.5.17", "a range beyond the end", httpcache.Config{}, `
			> GET /
			< 200 | Cache-Control: max-age=60
			= miss
			> GET / | Range: bytes=6-
			= hit 416 body= | Content-Range: bytes */6
			> GET / | Range: bytes=-0
			= hit 416
			> GET / | Range: bytes=99999999999999999999-
			= hit 416`},
	}
	for date, want := range map[string]string{
		"Thu, 18 Aug 2050 02:01:18 GMT":    "hit",
		"thu, 18 AUG 2050 02:01:18 gMT":    "hit",
		"Sun, 21 Nov 2286 04:46:39 GMT":    "hit",
		"Thursday, 18-Aug-49 02:01:18 GMT": "hit",  // the bubble's year is 2000
		"Thursday, 18-Aug-51 02:01:18 GMT": "miss", // so this is 1951
		"Thu Aug  8 02:01:18 2050":         "hit",
		"Thu Aug 18 02:01:18 2050":         "hit",
		"Thu, 18 Aug 2050 02:01:18 UTC":    "miss",
		"Thu, 18 Aug 2050 02:01:18 +0000":  "miss",
		"Thu, 18 Aug 50 02:01:18 GMT":      "miss",
		"Thu 18 Aug 2050 02:01:18 GMT":     "miss",
		"Thu, 18  Aug  2050 02:01:18 GMT":  "miss",
		"Thu, 18-Aug-2050 02:01:18 GMT":    "miss",
		"Thu, 18 Aug 2050 02.01.18 GMT":    "miss",
		"Thu, 18 Aug 2050 2:01:18 GMT":     "miss",
		"Thu, 8 Aug 2050 02:01:18 GMT":     "miss",
		"Xxx, 18 Aug 2050 02:01:18 GMT":    "miss",
		"Thu, 31 Feb 2050 02:01:18 GMT":    "miss",
		"Thu, 18 Aug 2050 25:01:18 GMT":    "miss",
		"2050-08-18T02:01:18Z":             "miss",
		"":                                 "miss",
	} {
		rows = append(rows, row{"5.6.7", "date " + date, httpcache.Config{}, `
			> GET /
			< 200 | Expires: ` + date + `
			= miss
			= ` + want})
	}
	runRows(t, rows)
}
