package contract

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

var upgradeCases = []testCase{
	{
		name: "upgrade/writable",
		doc:  "The body of a 101 response is an io.ReadWriteCloser. What the caller writes to it arrives at the server.",
		over: []protocol{http1, https1},
		run:  upgradeWritable,
	}, {
		name: "upgrade/long-lived",
		doc:  "An upgraded connection has no deadline but the caller's. A day later it still carries bytes in both directions.",
		run:  upgradeLongLived,
	}, {
		name: "upgrade/connection",
		doc:  "If the body of a 101 response is a net.Conn, it stays one, with its addresses and deadlines. Only Close ends it, and not a read that passes its deadline.",
		run:  upgradeConnection,
	}, {
		name: "upgrade/connect",
		doc:  "A CONNECT tunnel carries bytes in both directions, through the request's body and the response's.",
		over: overPlain,
		run:  upgradeConnect,
	},
}

// switching is the head of a 101 response.
const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"

// upgrade returns a request to switch protocols.
func (c *check) upgrade(ctx context.Context, url string) *http.Request {
	c.Helper()
	req := c.requestWith(ctx, "GET", url, nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "shout")
	return req
}

// upgraded returns the body of a 101 response.
func (c *check) upgraded(resp *http.Response) io.ReadWriteCloser {
	c.Helper()
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "shout" {
		c.Fatalf("the response is %s, Upgrade %q", resp.Status, resp.Header.Get("Upgrade"))
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		c.Fatalf("the body of the 101 response is a %T, which has no Write", resp.Body)
	}
	return body
}

// switched returns a 101 response of a stub, over a connection.
func switched(r *http.Request, conn net.Conn) *http.Response {
	resp := reply(r, http.StatusSwitchingProtocols, conn)
	resp.Header.Set("Upgrade", "shout")
	return resp
}

// hijack takes a connection over from the server.
func (c *check) hijack(w http.ResponseWriter, head string) (net.Conn, *bufio.ReadWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		c.Errorf("Hijack: %v", err)
		return nil, nil
	}
	c.Cleanup(func() { conn.Close() })
	io.WriteString(conn, head)
	return conn, rw
}

func upgradeWritable(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		conn, rw := c.hijack(w, switching+"hello\n")
		if conn == nil {
			return
		}
		defer conn.Close()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(conn, strings.ToUpper(line))
		}
	})
	ctx, cancel := context.WithTimeout(c.Context(), time.Hour)
	defer cancel()
	body := c.upgraded(c.must(c.wrap(s.transport), c.upgrade(ctx, s.url)))
	c.do("talking over the upgraded connection", func() {
		lines := bufio.NewReader(body)
		if got, err := lines.ReadString('\n'); got != "hello\n" {
			c.Errorf("the server's first line is %q, %v", got, err)
		}
		for _, line := range []string{"alpha\n", "beta\n"} {
			io.WriteString(body, line)
			if got, err := lines.ReadString('\n'); got != strings.ToUpper(line) {
				c.Errorf("%q was answered with %q, %v", line, got, err)
			}
		}
	})
	if err := body.Close(); err != nil {
		c.Errorf("Close: %v", err)
	}
}

func upgradeLongLived(c *check) {
	here, there := net.Pipe()
	var seen context.Context
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		seen = r.Context()
		return switched(r, here), nil
	})
	ctx, cancel := context.WithTimeout(c.Context(), 72*time.Hour)
	defer cancel()
	body := c.upgraded(c.must(rt, c.upgrade(ctx, address+"/socket")))
	c.Cleanup(func() { there.Close() })
	select {
	case <-seen.Done():
		c.Fatalf("the context of the upgraded connection was done before a day was over: %v", context.Cause(seen))
	case <-time.After(24 * time.Hour):
	}
	c.do("talking over the upgraded connection", func() {
		go io.WriteString(body, "alpha")
		got := make([]byte, len("alpha"))
		if _, err := io.ReadFull(there, got); string(got) != "alpha" {
			c.Errorf("the server reads %q, %v", got, err)
		}
		go io.WriteString(there, "beta")
		if _, err := io.ReadFull(body, got[:len("beta")]); string(got[:len("beta")]) != "beta" {
			c.Errorf("the client reads %q, %v", got, err)
		}
	})
	body.Close()
	c.do("closing the upgraded connection", func() {
		if n, err := there.Read(make([]byte, 1)); err != io.EOF {
			c.Errorf("after Close the server reads %d bytes, %v", n, err)
		}
	})
}

func upgradeConnection(c *check) {
	here, there := net.Pipe()
	c.Cleanup(func() { there.Close() })
	var seen context.Context
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		seen = r.Context()
		return switched(r, here), nil
	})
	body := c.upgraded(c.must(rt, c.upgrade(c.Context(), address+"/socket")))
	conn, ok := body.(net.Conn)
	if !ok {
		c.Fatalf("the body of the 101 response was a net.Conn, and is a %T", body)
	}
	if conn.LocalAddr() != here.LocalAddr() || conn.RemoteAddr() != here.RemoteAddr() {
		c.Errorf("the addresses are %v and %v", conn.LocalAddr(), conn.RemoteAddr())
	}
	if _, ok := body.(halfCloser); ok {
		c.Errorf("the body has got a CloseWrite that the base's has not: %T", body)
	}
	c.do("a read with a deadline", func() {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			c.Errorf("it returns %v, want %v", err, os.ErrDeadlineExceeded)
		}
		if err := seen.Err(); err != nil {
			c.Errorf("it has ended the context: %v", context.Cause(seen))
		}
		conn.SetDeadline(time.Time{})
		go io.WriteString(there, "alpha")
		got := make([]byte, len("alpha"))
		if _, err := io.ReadFull(conn, got); string(got) != "alpha" {
			c.Errorf("afterwards the client reads %q, %v", got, err)
		}
		conn.Close()
	})
}

func upgradeConnect(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "CONNECT" {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		conn, rw := c.hijack(w, "HTTP/1.1 200 OK\r\n\r\n")
		if conn == nil {
			return
		}
		defer conn.Close()
		line, _ := rw.ReadString('\n')
		io.WriteString(conn, strings.ToUpper(line))
	})
	in, out := io.Pipe()
	c.Cleanup(func() { out.CloseWithError(io.ErrClosedPipe) })
	resp := c.must(c.wrap(s.transport), c.request("CONNECT", s.url, in))
	if resp.StatusCode != 200 {
		c.Fatalf("the response is %s", resp.Status)
	}
	go io.WriteString(out, "alpha\n")
	c.wantBody(resp, "ALPHA\n")
}
