package contract

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"
)

var upgradeCases = []testCase{
	{
		name: "upgrade/writable",
		doc:  "The body of a 101 response is an io.ReadWriteCloser, and what is written to it gets to the server.",
		over: []protocol{http1, https1},
		run:  upgradeWritable,
	}, {
		name: "upgrade/long-lived",
		doc:  "A connection that was upgraded is under no deadline but the caller's: a day later it still carries bytes both ways.",
		run:  upgradeLongLived,
	}, {
		name: "upgrade/connect",
		doc:  "A CONNECT tunnel carries bytes both ways, through the request's body and the response's.",
		over: overPlain,
		run:  upgradeConnect,
	}, {
		name: "informational/1xx",
		doc:  "1xx responses reach the caller's httptrace hook, and none of them is taken for the answer.",
		over: overBoth,
		run:  informational,
	}, {
		name: "trace/hooks",
		doc:  "The httptrace hooks in the caller's context are called.",
		over: overBoth,
		run:  traceHooks,
	},
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
		conn, rw := c.hijack(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nhello\n")
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
	req := c.requestWith(ctx, "GET", s.url, nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "shout")
	resp := c.must(c.wrap(s.transport), req)
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "shout" {
		c.Fatalf("the response is %s, Upgrade %q", resp.Status, resp.Header.Get("Upgrade"))
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		c.Fatalf("the body of the 101 response is a %T, which has no Write", resp.Body)
	}
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
		resp := reply(r, http.StatusSwitchingProtocols, here)
		resp.Header.Set("Upgrade", "shout")
		return resp, nil
	})
	ctx, cancel := context.WithTimeout(c.Context(), 72*time.Hour)
	defer cancel()
	req := c.requestWith(ctx, "GET", address+"/socket", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "shout")
	resp := c.must(rt, req)
	c.Cleanup(func() { there.Close() })
	select {
	case <-seen.Done():
		c.Fatalf("the context of the upgraded connection was done before a day was over: %v", context.Cause(seen))
	case <-time.After(24 * time.Hour):
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		c.Fatalf("the body of the 101 response is a %T, which has no Write", resp.Body)
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

func informational(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		for _, link := range []string{"</one>", "</two>"} {
			w.Header().Set("Link", link)
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Del("Link")
		io.WriteString(w, "content")
	})
	var mu sync.Mutex
	var got []string
	ctx := httptrace.WithClientTrace(c.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, http.StatusText(code)+" "+header.Get("Link"))
			return nil
		},
	})
	resp := c.must(c.wrap(s.transport), c.requestWith(ctx, "GET", s.url, nil))
	if resp.StatusCode != 200 {
		c.Errorf("the response is %s", resp.Status)
	}
	c.wantBody(resp, "content")
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"Early Hints </one>", "Early Hints </two>"}; !slices.Equal(got, want) {
		c.Errorf("Got1xxResponse was told %q, want %q", got, want)
	}
}

func traceHooks(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	var mu sync.Mutex
	called := map[string]bool{"GetConn": false, "GotConn": false, "WroteHeaders": false, "WroteRequest": false, "GotFirstResponseByte": false}
	hook := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		called[name] = true
	}
	ctx := httptrace.WithClientTrace(c.Context(), &httptrace.ClientTrace{
		GetConn:              func(string) { hook("GetConn") },
		GotConn:              func(httptrace.GotConnInfo) { hook("GotConn") },
		WroteHeaders:         func() { hook("WroteHeaders") },
		WroteRequest:         func(httptrace.WroteRequestInfo) { hook("WroteRequest") },
		GotFirstResponseByte: func() { hook("GotFirstResponseByte") },
	})
	c.wantBody(c.must(c.wrap(s.transport), c.requestWith(ctx, "POST", s.url, strings.NewReader("content"))), "content")
	missing := func() (names []string) {
		mu.Lock()
		defer mu.Unlock()
		for name, was := range called {
			if !was {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	c.soon(func() bool { return missing() == nil }, "there are hooks that were not called, of these: %v", missing())
}
