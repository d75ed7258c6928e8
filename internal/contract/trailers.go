package contract

import (
	"io"
	"net/http"
	"strings"
)

var trailerCases = []testCase{
	{
		name: "expect/continue",
		doc:  "With Expect: 100-continue, nobody touches the request's body before the server asks for it.",
		over: overBoth,
		run:  expectContinue,
	}, {
		name: "trailers/request",
		doc:  "Request trailers that the caller sets while the body is read arrive at the server. The base gets the caller's Trailer map, and not a copy of it.",
		over: overAll,
		run:  trailersRequest,
	}, {
		name: "trailers/response",
		doc:  "When the body has been read to its end, Response.Trailer has all trailers, announced or not.",
		over: overAll,
		run:  trailersResponse,
	},
}

func expectContinue(c *check) {
	body := newSource("content")
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		// The server's side of HTTP/2 keeps it to itself.
		if r.Header.Get("Expect") != "100-continue" && r.ProtoMajor == 1 {
			c.Errorf("at the server Expect is %q", r.Header.Get("Expect"))
		}
		if reads, _ := body.counts(); reads > 0 {
			c.Errorf("the body was read %d times before the server asked for it", reads)
		}
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		io.Copy(w, r.Body)
	})
	s.transport.ExpectContinueTimeout = 2 * c.patience
	rt := c.wrap(s.transport)
	send := func(path string) *http.Response {
		req := c.request("PUT", s.url+path, body)
		req.ContentLength = int64(len("content"))
		req.Header.Set("Expect", "100-continue")
		return c.must(rt, req)
	}
	resp := send("/refuse")
	if resp.StatusCode != http.StatusExpectationFailed {
		c.Errorf("the response is %s", resp.Status)
	}
	c.read(resp)
	c.wantClosed(body, "the server did not want it")
	if reads, _ := body.counts(); reads > 0 {
		c.Errorf("the body was read %d times, although the server refused it", reads)
	}
	body = newSource("content")
	c.wantBody(send("/accept"), "content")
}

func trailersRequest(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "sum="+r.Trailer.Get("X-Sum"))
	})
	var req *http.Request
	req = c.request("POST", s.url, io.NopCloser(io.MultiReader(
		strings.NewReader("content"),
		onRead(func() { req.Trailer.Set("X-Sum", "1234") }),
	)))
	req.Trailer = http.Header{"X-Sum": nil}
	c.wantBody(c.must(c.wrap(s.transport), req), "sum=1234")
}

func trailersResponse(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/announced" {
			w.Header().Set("Trailer", "X-Sum")
		}
		io.WriteString(w, "content")
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/announced" {
			w.Header().Set("X-Sum", "1234")
		}
		w.Header().Set(http.TrailerPrefix+"X-Late", "5678")
	})
	rt := c.wrap(s.transport)
	resp := c.must(rt, c.request("GET", s.url+"/announced", nil))
	if _, announced := resp.Trailer["X-Sum"]; !announced {
		c.Errorf("before the body was read Trailer is %v, want X-Sum announced in it", resp.Trailer)
	}
	c.wantBody(resp, "content")
	if resp.Trailer.Get("X-Sum") != "1234" || resp.Trailer.Get("X-Late") != "5678" {
		c.Errorf("after the body was read Trailer is %v, want X-Sum 1234 and X-Late 5678", resp.Trailer)
	}
	resp = c.must(rt, c.request("GET", s.url+"/unannounced", nil))
	c.wantBody(resp, "content")
	if resp.Trailer.Get("X-Late") != "5678" {
		c.Errorf("after the body was read Trailer is %v, want X-Late 5678, which was not announced", resp.Trailer)
	}
}
