package contract

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

var halfCloseCases = []testCase{
	{
		name: "upgrade/half-close",
		doc:  "The body of a 101 response keeps its CloseWrite. The server can still answer after the client's last byte, and the client can still write after the server's.",
		over: []protocol{http1, https1},
		run:  upgradeHalfClose,
	}, {
		name: "upgrade/reverse-proxy",
		doc:  "In an httputil.ReverseProxy, an upgraded connection still brings the server's answer after the client has half-closed it.",
		over: overPlain,
		run:  upgradeReverseProxy,
	},
}

// halfCloser is a connection one direction of which can end before the other.
type halfCloser interface{ CloseWrite() error }

// lastWords answers what the client has said when the client has said everything.
func (c *check) lastWords() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, rw := c.hijack(w, switching)
		if conn == nil {
			return
		}
		defer conn.Close()
		said, _ := io.ReadAll(rw)
		io.WriteString(conn, "got "+string(said))
	}
}

func upgradeHalfClose(c *check) {
	s := c.serve(c.lastWords())
	body := c.upgraded(c.must(c.wrap(s.transport), c.upgrade(c.Context(), s.url)))
	half, ok := body.(halfCloser)
	if !ok {
		c.Fatalf("the body of the 101 response is a %T, which has no CloseWrite", body)
	}
	c.do("half-closing the upgraded connection", func() {
		io.WriteString(body, "hello")
		if err := half.CloseWrite(); err != nil {
			c.Errorf("CloseWrite: %v", err)
		}
		if got, err := io.ReadAll(body); string(got) != "got hello" {
			c.Errorf("after CloseWrite the answer is %q, %v, want %q", got, err, "got hello")
		}
	})

	heard := make(chan string, 1)
	s = c.serve(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw := c.hijack(w, switching)
		if conn == nil {
			return
		}
		defer conn.Close()
		conn.(halfCloser).CloseWrite()
		said, _ := io.ReadAll(rw)
		heard <- string(said)
	})
	body = c.upgraded(c.must(c.wrap(s.transport), c.upgrade(c.Context(), s.url)))
	c.do("writing after the server's last byte", func() {
		if got, err := io.ReadAll(body); len(got) > 0 || err != nil {
			c.Errorf("the half-closed connection reads %q, %v", got, err)
		}
		io.WriteString(body, "late")
		body.Close()
	})
	if got := after(c, heard, "what the client says after the server's last byte"); got != "late" {
		c.Errorf("after its own last byte the server reads %q, want %q", got, "late")
	}
}

func upgradeReverseProxy(c *check) {
	s := c.serve(c.lastWords())
	target, err := url.Parse(s.url)
	if err != nil {
		c.Fatalf("%v", err)
	}
	failed := make(chan error, 1)
	proxy := c.serve((&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: c.wrap(s.transport),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			failed <- err
			w.WriteHeader(http.StatusBadGateway)
		},
	}).ServeHTTP)
	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy.url, "http://"))
	if err != nil {
		c.Fatalf("Dial: %v", err)
	}
	c.Cleanup(func() { conn.Close() })
	r := bufio.NewReader(conn)
	c.do("upgrading a connection through a proxy", func() {
		c.upgrade(c.Context(), proxy.url).Write(conn)
		http.ReadResponse(r, nil)
	})
	select {
	case err := <-failed:
		if rejected(err) && c.traits.Refuses {
			c.Skipf("the call was refused: %v", err)
		}
		c.Fatalf("the proxy's error is %v", err)
	default:
	}
	c.do("half-closing a connection through a proxy", func() {
		io.WriteString(conn, "hello")
		conn.(halfCloser).CloseWrite()
		if got, err := io.ReadAll(r); string(got) != "got hello" {
			c.Errorf("the answer is %q, %v, want %q", got, err, "got hello")
		}
	})
}
