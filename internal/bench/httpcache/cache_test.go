// Package httpcache_test measures belay's HTTP cache beside its peers.
//
// The response is fresh for an hour, and has 2 KiB and five fields; its body is read to
// the end. Private APIs are asked with an Authorization (-auth); some answer with 25 fields
// and a Vary of seven (-github). Caches that hold one, a thousand and a hundred thousand
// responses have small ones. The floor of a hit is a header that is cloned and a reader
// of shared bytes; that of a miss is the origin alone, which answers at once.
package httpcache_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/belay-go/belay/gateway/httpcache"
	peer "github.com/gregjones/httpcache"
)

func BenchmarkHTTPCache(b *testing.B) {
	b.Run("hit", func(b *testing.B) { hit(b, plain) })
	b.Run("hit-auth", func(b *testing.B) { hit(b, withAuth) })
	b.Run("hit-github", func(b *testing.B) { hit(b, github) })
	b.Run("hit-par", hitParallel)
	b.Run("hit-1", func(b *testing.B) { hitOneOf(b, 1) })
	b.Run("hit-1k", func(b *testing.B) { hitOneOf(b, 1000) })
	b.Run("hit-100k", func(b *testing.B) { hitOneOf(b, 100_000) })
	b.Run("miss", miss)
}

const url = "http://service.test/users/1?fields=all"

var content = bytes.Repeat([]byte("x"), 2048)

// A kind is how a service is asked, and how it answers.
type kind struct{ request, response http.Header }

var (
	plain = kind{
		http.Header{"Accept": {"application/json"}},
		http.Header{
			"Cache-Control":  {"max-age=3600"},
			"Content-Type":   {"application/json"},
			"Content-Length": {"2048"},
			"Date":           {"Thu, 01 Jan 2099 00:00:00 GMT"},
			"Etag":           {`"33a64df551425fcc55e4d42a148795d9f25f89d4"`},
		},
	}
	withAuth = kind{with(plain.request, "Authorization", "Bearer 0123456789abcdefghijklmnopqrstuvwxyz"), with(plain.response, "Cache-Control", "private, max-age=3600")}
	github   = kind{
		with(withAuth.request, "X-Github-Api-Version", "2022-11-28"),
		http.Header{
			"Access-Control-Allow-Origin":   {"*"},
			"Access-Control-Expose-Headers": {"ETag, Link, Location, Retry-After, X-GitHub-OTP, X-RateLimit-Limit"},
			"Cache-Control":                 {"private, max-age=3600"},
			"Content-Length":                {"2048"},
			"Content-Security-Policy":       {"default-src 'none'"},
			"Content-Type":                  {"application/json; charset=utf-8"},
			"Date":                          {"Thu, 01 Jan 2099 00:00:00 GMT"},
			"Etag":                          {`"33a64df551425fcc55e4d42a148795d9f25f89d4"`},
			"Last-Modified":                 {"Thu, 01 Jan 2026 00:00:00 GMT"},
			"Referrer-Policy":               {"origin-when-cross-origin, strict-origin-when-cross-origin"},
			"Server":                        {"github.com"},
			"Strict-Transport-Security":     {"max-age=31536000; includeSubdomains; preload"},
			"Vary":                          {"Accept, Authorization, Cookie, X-GitHub-OTP", "Accept-Encoding, Accept, X-Requested-With, Origin"},
			"X-Accepted-Oauth-Scopes":       {"repo"},
			"X-Content-Type-Options":        {"nosniff"},
			"X-Frame-Options":               {"deny"},
			"X-Github-Api-Version-Selected": {"2022-11-28"},
			"X-Github-Media-Type":           {"github.v3; format=json"},
			"X-Github-Request-Id":           {"8E34:2C1B:1A2B3C:4D5E6F:65A1B2C3"},
			"X-Oauth-Scopes":                {"repo, user"},
			"X-Ratelimit-Limit":             {"5000"},
			"X-Ratelimit-Remaining":         {"4987"},
			"X-Ratelimit-Reset":             {"1372700873"},
			"X-Ratelimit-Used":              {"13"},
			"X-Xss-Protection":              {"0"},
		},
	}
)

// with returns a copy of h with another field.
func with(h http.Header, name, value string) http.Header {
	h = h.Clone()
	h.Set(name, value)
	return h
}

// origin answers every request at once, and counts them.
type origin struct {
	kind
	calls int
}

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	o.calls++
	return answer(r, o.response.Clone()), nil
}

func answer(r *http.Request, h http.Header) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader(content)), ContentLength: 2048, Request: r,
	}
}

func belay(base http.RoundTripper) http.RoundTripper {
	return &httpcache.Transport{Base: base, Cache: httpcache.New(httpcache.Config{})}
}

func gregjones(base http.RoundTripper) http.RoundTripper {
	t := peer.NewMemoryCacheTransport()
	t.Transport = base
	return t
}

// floor is a response that was stored, and nothing that decides about it.
type floor struct{ stored *http.Response }

func (f *floor) RoundTrip(r *http.Request) (*http.Response, error) {
	h := f.stored.Header.Clone()
	h["Age"] = []string{"1"}
	return answer(r, h), nil
}

func request(b *testing.B, k kind) *http.Request {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header = k.request.Clone()
	return req
}

// read reads a response as all of the benchmarks do.
func read(b *testing.B, rt http.RoundTripper, req *http.Request, buf []byte) *http.Response {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	if err != io.EOF {
		b.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// mustHit fills a cache, and fails the benchmark unless it answers from then on.
func mustHit(b *testing.B, o *origin, rt http.RoundTripper, field string) {
	b.Helper()
	buf := make([]byte, 4096)
	read(b, rt, request(b, o.kind), buf)
	if resp := read(b, rt, request(b, o.kind), buf); o.calls != 1 || resp.Header.Get(field) == "" {
		b.Fatalf("%d requests to the origin, header %v", o.calls, resp.Header)
	}
}

// fresh is a request for what was not asked for before.
func fresh(req *http.Request, n int) *http.Request {
	u := *req.URL
	u.RawQuery = strconv.Itoa(n)
	r := *req
	r.URL = &u
	return &r
}
