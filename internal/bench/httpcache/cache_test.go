// Package httpcache_test measures belay's HTTP cache beside its peers.
//
// The response is private, fresh for an hour, and has 2 KiB and five fields; its
// body is read to the end. The floor of a hit is a header that is cloned and a reader
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
	b.Run("hit", hit)
	b.Run("hit-par", hitParallel)
	b.Run("miss", miss)
}

const url = "http://service.test/users/1?fields=all"

var content = bytes.Repeat([]byte("x"), 2048)

// origin answers every request at once, and counts them.
type origin struct{ calls int }

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	o.calls++
	return answer(r, http.Header{
		"Cache-Control":  {"private, max-age=3600"},
		"Content-Type":   {"application/json"},
		"Content-Length": {"2048"},
		"Date":           {"Thu, 01 Jan 2099 00:00:00 GMT"},
		"Etag":           {`"33a64df551425fcc55e4d42a148795d9f25f89d4"`},
	}), nil
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

func request(b *testing.B) *http.Request {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
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
	read(b, rt, request(b), buf)
	if resp := read(b, rt, request(b), buf); o.calls != 1 || resp.Header.Get(field) == "" {
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
