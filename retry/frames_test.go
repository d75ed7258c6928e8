package retry_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
)

// Frames of HTTP/2 (RFC 9113), as far as is needed to refuse requests in ways in
// which net/http's server never does.
const (
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	frameGoAway   = 0x7

	flagEnd = 0x1 | 0x4 // END_STREAM, END_HEADERS

	codeInternal = 0x2
	codeRefused  = 0x7
	codeCalm     = 0xb // ENHANCE_YOUR_CALM
)

// frameConn writes in the order of its calls, while the other side writes too. A nil
// in out closes it.
type frameConn struct {
	net.Conn
	out chan []byte
}

func newFrameConn(conn net.Conn) frameConn {
	c := frameConn{conn, make(chan []byte, 100)}
	go func() {
		for b := range c.out {
			if b == nil {
				c.Close()
				return
			}
			c.Write(b)
		}
	}()
	return c
}

func (c frameConn) frame(kind, flags byte, stream uint32, payload ...byte) {
	n := len(payload)
	head := binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)
	c.out <- append(head, payload...)
}

func (c frameConn) reset(stream, code uint32) {
	c.frame(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code)...)
}

func (c frameConn) goAway(last, code uint32) {
	c.frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code)...)
}

func (c frameConn) ok(stream uint32) { c.frame(frameHeaders, flagEnd, stream, 0x88) }

// serve calls answer for each request that has arrived whole.
func (c frameConn) serve(answer func(stream uint32)) {
	in := bufio.NewReader(c)
	io.CopyN(io.Discard, in, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
	c.frame(frameSettings, 0, 0)
	for {
		var head [9]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			c.out <- nil
			return
		}
		io.CopyN(io.Discard, in, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
		if kind, flags := head[3], head[4]; kind < 2 && flags&1 != 0 { // the end of DATA or HEADERS
			answer(binary.BigEndian.Uint32(head[5:]))
		}
	}
}

// A POST is sent again where HTTP/2 says that the server has not looked at it,
// however often net/http itself has tried, and not where it may have.
func TestTransportNotProcessedByHTTP2(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(request int, c frameConn, stream uint32)
		ok     bool
		text   string
	}{
		{"streams refused", func(n int, c frameConn, stream uint32) {
			if n <= 8 { // net/http sends a request seven times
				c.reset(stream, codeRefused)
				return
			}
			c.ok(stream)
		}, true, ""},
		{"connection ended before the stream", func(n int, c frameConn, stream uint32) {
			if n == 1 {
				c.goAway(0, codeCalm)
				return
			}
			c.ok(stream)
		}, true, ""},
		{"connection ended with the stream", func(n int, c frameConn, stream uint32) {
			if n == 1 {
				c.goAway(stream, codeCalm)
				c.out <- nil
				return
			}
			c.ok(stream)
		}, false, "GOAWAY"},
		{"stream reset", func(n int, c frameConn, stream uint32) {
			if n == 1 {
				c.reset(stream, codeInternal)
				return
			}
			c.ok(stream)
		}, false, "INTERNAL_ERROR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				base := &http.Transport{Protocols: new(http.Protocols)}
				base.Protocols.SetUnencryptedHTTP2(true)
				base.DialContext = func(context.Context, string, string) (net.Conn, error) {
					here, there := net.Pipe()
					c := newFrameConn(there)
					t.Cleanup(func() { c.Close() })
					go c.serve(func(stream uint32) { tt.answer(int(requests.Add(1)), c, stream) })
					return here, nil
				}
				defer base.CloseIdleConnections()
				rt := &retry.Transport{Base: base, Policy: everySecond(retry.Config{})}
				req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.test/", strings.NewReader("data"))
				resp, err := rt.RoundTrip(req)
				if (err == nil) != tt.ok {
					t.Fatalf("got %v, %v after %d requests", resp, err, requests.Load())
				}
				if err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v", err)
				}
				if n := requests.Load(); n > 1 && !tt.ok {
					t.Errorf("%d requests", n)
				}
				if err == nil {
					resp.Body.Close()
				}
				base.CloseIdleConnections()
				time.Sleep(time.Minute)
			})
		})
	}
}
