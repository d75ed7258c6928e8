package contract

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

// The transport sends some requests again by itself, when it knows that the
// server has not looked at them. That needs GetBody, and it is not an attempt
// that a wrapper sees.
var http2Cases = []testCase{
	{
		name: "http2/goaway",
		doc:  "If the server's GOAWAY leaves a request unprocessed, net/http sends it again with its whole body. The wrapper does not see that, and must leave GetBody in place.",
		over: overH2C,
		run:  http2GoAway,
	}, {
		name: "http2/refused-stream",
		doc:  "If the server refuses the stream of a request, net/http sends it again with its whole body. The wrapper does not see that, and must leave GetBody in place.",
		over: overH2C,
		run:  http2RefusedStream,
	}, {
		name: "http2/reset-in-body",
		doc:  "If the server resets the stream in the middle of the body, reading it returns the bytes that came, and then an error.",
		over: overH2C,
		run:  http2ResetInBody,
	}, {
		name: "http1/stale-connection",
		doc:  "If the server has just closed an idle connection, net/http sends the request again on a new one, if its method is idempotent or it has an Idempotency-Key. The wrapper must not hide either.",
		over: overPlain,
		run:  http1StaleConnection,
	},
}

// frameServer starts a server of raw HTTP/2 connections, and wraps a transport
// for it.
func (c *check) frameServer(answer func(connection int, f *frameConn, stream uint32, body []byte)) (http.RoundTripper, *stub, string) {
	c.Helper()
	addr := c.listen(func(n int, conn net.Conn) {
		serveFrames(conn, func(f *frameConn, stream uint32, body []byte) { answer(n, f, stream, body) })
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	c.Cleanup(transport.CloseIdleConnections)
	rt, s := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) { return transport.RoundTrip(r) })
	return rt, s, "http://" + addr
}

func http2GoAway(c *check) {
	for _, method := range []string{"POST", "PUT", "GET"} {
		var processed, ignored atomic.Int64
		rt, s, url := c.frameServer(func(connection int, f *frameConn, stream uint32, body []byte) {
			if connection == 1 {
				ignored.Add(1)
				f.goAway(0, codeNone)
				return
			}
			processed.Add(1)
			f.respond(stream, body)
		})
		c.resent(rt, s, method, url)
		if ignored.Load() != 1 || processed.Load() != 1 {
			c.Errorf("%s: %d requests were ignored and %d processed, want 1 and 1", method, ignored.Load(), processed.Load())
		}
	}
}

func http2RefusedStream(c *check) {
	for _, method := range []string{"POST", "PUT", "GET"} {
		var requests atomic.Int64
		rt, s, url := c.frameServer(func(_ int, f *frameConn, stream uint32, body []byte) {
			if requests.Add(1) == 1 {
				f.reset(stream, codeRefusedStream)
				return
			}
			f.respond(stream, body)
		})
		c.resent(rt, s, method, url)
		if n := requests.Load(); n != 2 {
			c.Errorf("%s: %d requests have arrived, want 2", method, n)
		}
	}
}

// resent makes a call that the transport has to send twice.
func (c *check) resent(rt http.RoundTripper, s *stub, method, url string) {
	c.Helper()
	want := "content"
	req := c.request(method, url, strings.NewReader(want))
	if method == "GET" {
		want = ""
		req = c.request(method, url, nil)
	}
	changes := snapshot(req)
	c.wantBody(c.must(rt, req), want)
	if n := s.calls.Load(); n != 1 {
		c.Errorf("%s: the base was called %d times, want 1", method, n)
	}
	if list := changes(); list != nil {
		c.Errorf("%s: the caller's request has changed: %v", method, list)
	}
}

func http2ResetInBody(c *check) {
	rt, _, url := c.frameServer(func(_ int, f *frameConn, stream uint32, _ []byte) {
		f.write(frameHeaders, flagEndHeaders, stream, status200)
		f.write(frameData, 0, stream, []byte("partial"))
		f.reset(stream, codeInternal)
	})
	resp := c.must(rt, c.request("GET", url, nil))
	if got, err := c.read(resp); err == nil || !strings.HasPrefix("partial", got) {
		c.Errorf("the body reads %q, %v, want %q or less of it and an error", got, err, "partial")
	}
}

func http1StaleConnection(c *check) {
	for _, method := range []string{"GET", "PUT", "POST"} {
		var stale atomic.Bool
		addr := c.listen(func(connection int, conn net.Conn) {
			in := bufio.NewReader(conn)
			for n := 1; ; n++ {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				body, _ := io.ReadAll(r.Body)
				if connection == 1 && n == 2 {
					stale.Store(true)
					return
				}
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			}
		})
		transport := &http.Transport{}
		c.Cleanup(transport.CloseIdleConnections)
		rt, s := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) { return transport.RoundTrip(r) })
		c.wantBody(c.must(rt, c.request("GET", "http://"+addr+"/first", nil)), "")
		req := c.request("GET", "http://"+addr+"/second", nil)
		want := ""
		if method != "GET" {
			want = "content"
			req = c.request(method, "http://"+addr+"/second", strings.NewReader(want))
			req.Header.Set("Idempotency-Key", "1234")
		}
		c.wantBody(c.must(rt, req), want)
		if !stale.Load() {
			c.Errorf("%s: the first connection was not used again", method)
		}
		if n := s.calls.Load(); n != 2 {
			c.Errorf("%s: the base was called %d times for 2 calls", method, n)
		}
	}
}
