package contract

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

var bodyCases = []testCase{
	{
		name: "body/none-stays-none",
		doc:  "A nil body stays nil, and http.NoBody stays http.NoBody. Otherwise a request of length 0 is sent chunked.",
		run:  bodyNoneStaysNone,
	}, {
		name: "body/identity",
		doc:  "In the first attempt the base gets the caller's body itself: net/http sends a file with sendfile, and a small body in one write with the header. A wrapper that watches bodies may follow the reads of one without GetBody.",
		run:  bodyIdentity,
	}, {
		name: "body/one-write",
		doc:  "The header and a small body of known length are sent in one write, as they are without the wrapper.",
		run:  bodyOneWrite,
	}, {
		name: "body/sent-once",
		doc:  "A body without GetBody is never sent a second time in part. A further attempt sends all of it, or is not made.",
		run:  bodySentOnce,
	}, {
		name: "body/get-body",
		doc:  "GetBody arrives at the base. Each call of it returns a new reader that begins at the first byte, even after the body has been read.",
		run:  bodyGetBody,
	},
}

func bodyNoneStaysNone(c *check) {
	rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		if r.Header.Get("X-Body") == "nil" && r.Body != nil {
			c.Errorf("call %d: at the base a nil body is a %T", n, r.Body)
		}
		if r.Header.Get("X-Body") == "none" && r.Body != http.NoBody {
			c.Errorf("call %d: at the base http.NoBody is a %T", n, r.Body)
		}
		if r.ContentLength != 0 {
			c.Errorf("call %d: at the base ContentLength is %d", n, r.ContentLength)
		}
		return text(r, 503, "busy"), nil
	})
	for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
		for _, kind := range []string{"nil", "none"} {
			var body io.Reader
			if kind == "none" {
				body = http.NoBody
			}
			req := c.request(method, address+"/resource", body)
			req.Header.Set("X-Body", kind)
			if kind == "none" {
				req.Body = http.NoBody
			}
			c.read(c.must(rt, req))
		}
	}
}

func bodyIdentity(c *check) {
	for _, method := range []string{"POST", "PUT"} {
		var body io.ReadCloser
		rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
			if n == 1 && r.Body != body && !c.traits.Watches {
				c.Errorf("%s: the base got a %T, want the caller's body, a %T", method, r.Body, body)
			}
			return echo(n, r)
		})
		body = newSource("content")
		c.wantBody(c.must(rt, c.request(method, address+"/orders", body)), "content")

		rt, _ = c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
			if n == 1 && r.Body != body {
				c.Errorf("%s with GetBody: the base got a %T, want the caller's body, a %T", method, r.Body, body)
			}
			return echo(n, r)
		})
		req := c.request(method, address+"/orders", strings.NewReader("content"))
		body = req.Body
		c.wantBody(c.must(rt, req), "content")
	}
}

// writeCounter is a connection that counts writes.
type writeCounter struct {
	net.Conn
	writes atomic.Int64
}

func (w *writeCounter) Write(p []byte) (int, error) {
	w.writes.Add(1)
	return w.Conn.Write(p)
}

func bodyOneWrite(c *check) {
	here, there := net.Pipe()
	counter := &writeCounter{Conn: here}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return counter, nil }}
	c.Cleanup(func() {
		transport.CloseIdleConnections()
		there.Close()
	})
	go func() {
		r, err := http.ReadRequest(bufio.NewReader(there))
		if err != nil {
			return
		}
		data, _ := io.ReadAll(r.Body)
		fmt.Fprintf(there, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(data), data)
	}()
	c.wantBody(c.must(c.wrap(transport), c.request("POST", address+"/orders", strings.NewReader("content"))), "content")
	if n := counter.writes.Load(); n != 1 {
		c.Errorf("the request was sent in %d writes", n)
	}
}

func bodySentOnce(c *check) {
	for _, fail := range []bool{true, false} {
		for _, method := range []string{"PUT", "DELETE", "POST"} {
			var calls int
			rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
				calls = n
				data, err := io.ReadAll(r.Body)
				if err != nil || string(data) != "content" {
					c.Errorf("%s: attempt %d had the body %q, %v", method, n, data, err)
				}
				if fail {
					return nil, errors.New("connection reset")
				}
				return text(r, 503, "busy"), nil
			})
			resp, err := c.send(rt, c.request(method, address+"/resource", newSource("content")))
			if err == nil {
				c.read(resp)
			}
			if calls > 1 && (method == "POST" || !c.traits.Repeats) {
				c.Errorf("%s: sent %d times", method, calls)
			}
		}
	}
}

func bodyGetBody(c *check) {
	readAll := func(what string, rc io.ReadCloser) {
		defer rc.Close()
		if data, err := io.ReadAll(rc); err != nil || string(data) != "content" {
			c.Errorf("%s reads %q, %v", what, data, err)
		}
	}
	rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		if r.GetBody == nil {
			c.Errorf("attempt %d: GetBody is gone", n)
			return text(r, 200, ""), nil
		}
		if r.ContentLength != int64(len("content")) {
			c.Errorf("attempt %d: ContentLength is %d", n, r.ContentLength)
		}
		one, err1 := r.GetBody()
		two, err2 := r.GetBody()
		if err1 != nil || err2 != nil {
			return nil, errors.Join(err1, err2)
		}
		one.Read(make([]byte, 3))
		readAll("the body, after GetBody", r.Body)
		readAll("a second reader of GetBody", two)
		one.Close()
		three, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		readAll("a reader of GetBody, after the body", three)
		return text(r, 503, "busy"), nil
	})
	for _, method := range []string{"PUT", "POST"} {
		c.read(c.must(rt, c.request(method, address+"/resource", strings.NewReader("content"))))
	}
}
