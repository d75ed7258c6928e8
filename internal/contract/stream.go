package contract

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

var streamCases = []testCase{
	{
		name: "body/streams",
		doc:  "A body of unknown length is passed on while the caller writes it. The base can answer the beginning before the end is written.",
		run:  bodyStreams,
	}, {
		name: "body/large",
		doc:  "A large request body arrives complete, both with a length and chunked.",
		over: overAll,
		run:  bodyLarge,
	}, {
		name: "body/early-answer",
		doc:  "If the server answers before it has read the whole request body, the rest is still sent.",
		over: overBoth,
		run:  bodyEarlyAnswer,
	}, {
		name: "response/streams",
		doc:  "The caller can read the first bytes of a response before the server has written the others.",
		over: overAll,
		run:  responseStreams,
	}, {
		name: "response/full-duplex",
		doc:  "A request and its response can take turns: the server answers each piece before the caller sends the next one.",
		over: overAll,
		run:  responseFullDuplex,
	}, {
		name: "response/large",
		doc:  "A large response arrives complete, both with a length and chunked.",
		over: overAll,
		run:  responseLarge,
	}, {
		name: "response/truncated",
		doc:  "A response that ends too early returns the bytes that came, and then io.ErrUnexpectedEOF. It does not look complete.",
		over: overPlain,
		run:  responseTruncated,
	},
}

func bodyStreams(c *check) {
	began := make(chan string, 1)
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		if r.ContentLength > 0 {
			c.Errorf("the length was unknown, at the base it is %d", r.ContentLength)
		}
		head := make([]byte, len("first"))
		if _, err := io.ReadFull(r.Body, head); err != nil {
			return nil, err
		}
		began <- string(head)
		return echo(0, r)
	})
	in, out := io.Pipe()
	c.Cleanup(func() { out.CloseWithError(io.ErrClosedPipe) })
	k := c.start(rt, c.request("PUT", address+"/upload", in))
	go io.WriteString(out, "first")
	if got := during(c, k, began, "the beginning of a body at the base"); got != "first" {
		c.Errorf("at the base the body begins with %q", got)
	}
	go func() {
		io.WriteString(out, "second")
		out.Close()
	}()
	resp, err := c.result(k)
	if err != nil {
		c.Fatalf("RoundTrip: %v", err)
	}
	c.wantBody(resp, "second")
}

func bodyLarge(c *check) {
	const size = 4 << 20
	data := pattern(size)
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %d %x %v", r.ContentLength, n, h.Sum(nil), err)
	})
	rt := c.wrap(s.transport)
	for _, length := range []int64{size, -1} {
		req := c.request("POST", s.url, io.NopCloser(bytes.NewReader(data)))
		req.ContentLength = length
		c.wantBody(c.must(rt, req), fmt.Sprintf("%d %d %x %v", length, size, sha256.Sum256(data), nil))
	}
}

func bodyEarlyAnswer(c *check) {
	rest := make(chan string, 1)
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.ReadFull(r.Body, make([]byte, len("first")))
		io.WriteString(w, "early")
		http.NewResponseController(w).Flush()
		data, err := io.ReadAll(r.Body)
		if err != nil {
			data = []byte(err.Error())
		}
		rest <- string(data)
	})
	in, out := io.Pipe()
	c.Cleanup(func() { out.CloseWithError(io.ErrClosedPipe) })
	k := c.start(c.wrap(s.transport), c.request("POST", s.url, in))
	go io.WriteString(out, "first")
	resp, err := c.result(k)
	if err != nil {
		c.Fatalf("RoundTrip: %v", err)
	}
	go func() {
		io.WriteString(out, "second")
		out.Close()
	}()
	if got := after(c, rest, "the rest of the body at the server"); got != "second" {
		c.Errorf("after the early answer the server reads %q", got)
	}
	c.wantBody(resp, "early")
}

func responseStreams(c *check) {
	release := make(chan struct{})
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		http.NewResponseController(w).Flush()
		select {
		case <-release:
			io.WriteString(w, "second")
		case <-r.Context().Done():
		}
	})
	resp := c.must(c.wrap(s.transport), c.request("GET", s.url, nil))
	head := make([]byte, len("first"))
	c.do("reading the first bytes of a response that has not ended", func() { io.ReadFull(resp.Body, head) })
	if string(head) != "first" {
		c.Errorf("the response begins with %q", head)
	}
	close(release)
	c.wantBody(resp, "second")
}

func responseFullDuplex(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		rc.Flush()
		buf := make([]byte, 16)
		for {
			n, err := r.Body.Read(buf)
			w.Write(bytes.ToUpper(buf[:n]))
			rc.Flush()
			if err != nil {
				return
			}
		}
	})
	in, out := io.Pipe()
	c.Cleanup(func() { out.CloseWithError(io.ErrClosedPipe) })
	k := c.start(c.wrap(s.transport), c.request("POST", s.url, in))
	resp, err := c.result(k)
	if err != nil {
		c.Fatalf("RoundTrip: %v", err)
	}
	for _, piece := range []string{"alpha", "beta", "gamma"} {
		answer := make([]byte, len(piece))
		c.do("exchanging "+piece, func() {
			io.WriteString(out, piece)
			io.ReadFull(resp.Body, answer)
		})
		if string(answer) != strings.ToUpper(piece) {
			c.Errorf("%q was answered with %q", piece, answer)
		}
	}
	out.Close()
	c.wantBody(resp, "")
}

func responseLarge(c *check) {
	const size = 4 << 20
	data := pattern(size)
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		w.Write(data)
	})
	rt := c.wrap(s.transport)
	for path, length := range map[string]int64{"/known": size, "/chunked": -1} {
		resp := c.must(rt, c.request("GET", s.url+path, nil))
		if resp.ContentLength != length {
			c.Errorf("%s: ContentLength is %d, want %d", path, resp.ContentLength, length)
		}
		got, err := c.read(resp)
		if err != nil || sha256.Sum256([]byte(got)) != sha256.Sum256(data) {
			c.Errorf("%s: of %d bytes %d arrived, or not the same ones; %v", path, size, len(got), err)
		}
	}
}

func responseTruncated(c *check) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n",
	} {
		addr := c.listen(func(_ int, conn net.Conn) {
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, head)
		})
		transport := &http.Transport{}
		c.Cleanup(transport.CloseIdleConnections)
		resp := c.must(c.wrap(transport), c.request("GET", "http://"+addr, nil))
		got, err := c.read(resp)
		if got != "partial" || !errors.Is(err, io.ErrUnexpectedEOF) {
			c.Errorf("the body reads %q, %v, want %q, %v", got, err, "partial", io.ErrUnexpectedEOF)
		}
	}
}
