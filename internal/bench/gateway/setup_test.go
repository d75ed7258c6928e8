// Package gateway_test measures a typed call beside hand-written net/http code that
// does the same, and a shared call beside x/sync's singleflight.
//
// Nothing goes over a network: the floor of a call is one http.Client.Do with a
// request that is made anew. That of a flight is the function behind a mutex and a map.
package gateway_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/belay-go/belay/gateway"
)

func BenchmarkGateway(b *testing.B) {
	b.Run("call", call)
	b.Run("call-par", callPar)
	b.Run("call-post", callPost)
	b.Run("flight", flight)
	b.Run("flight-par", flightPar)
	b.Run("flight-ctx", flightCtx)
}

type user struct {
	Login string `json:"login"`
	ID    int    `json:"id"`
	Email string `json:"email"`
	Admin bool   `json:"admin"`
}

const baseURL = "https://api.example/v2"

const answer = `{"login":"ada","id":17,"email":"ada@api.example","admin":true}`

// instant answers every request at once, after reading its body to its end.
type instant struct{}

var header = http.Header{"Content-Type": {"application/json; charset=utf-8"}}

type reply struct {
	resp http.Response
	read int
}

// RoundTrip implements [http.RoundTripper].
func (instant) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, err := io.Copy(io.Discard, req.Body)
		req.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	r := &reply{}
	r.resp = http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: r, ContentLength: int64(len(answer)), Request: req,
	}
	return &r.resp, nil
}

func (r *reply) Read(p []byte) (int, error) {
	n := copy(p, answer[r.read:])
	if r.read += n; r.read == len(answer) {
		return n, io.EOF
	}
	return n, nil
}

func (r *reply) Close() error { return nil }

// mustGet fails the benchmark unless get returns the user, asks for the right URL, and
// refuses what it should.
func mustGet(b *testing.B, get func(context.Context, string) (user, error)) {
	b.Helper()
	u, err := get(b.Context(), "a/da")
	if want := (user{"ada", 17, "ada@api.example", true}); u != want || err != nil {
		b.Fatalf("got %+v, %v; want %+v", u, err, want)
	}
	if _, err := get(b.Context(), ".."); err == nil {
		b.Fatal("the name .. is no error")
	}
}

func newGateway(b *testing.B) *gateway.Gateway {
	b.Helper()
	g, err := gateway.New(gateway.Config{BaseURL: baseURL, Transport: instant{}})
	if err != nil {
		b.Fatal(err)
	}
	return g
}
