package contract

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
)

// server is an HTTP server on a loopback socket.
type server struct {
	url       string
	transport *http.Transport // reaches and trusts the server
}

// serve starts a server that speaks the case's protocol.
func (c *check) serve(handler http.HandlerFunc) *server {
	c.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	protocols := new(http.Protocols)
	switch c.over {
	case http1, https1:
		protocols.SetHTTP1(true)
	case http2:
		protocols.SetHTTP2(true)
		s.EnableHTTP2 = true
	case h2c:
		protocols.SetUnencryptedHTTP2(true)
	default:
		c.Fatalf("no server speaks %q", c.over)
	}
	s.Config.Protocols = protocols
	if c.over == http1 || c.over == h2c {
		s.Start()
	} else {
		s.StartTLS()
	}
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.Protocols = protocols
	c.Cleanup(func() {
		// Not s.Close: it waits for handlers, and bothers http.DefaultTransport.
		transport.CloseIdleConnections()
		s.Config.Close()
	})
	return &server{url: s.URL, transport: transport}
}

// listen starts a hand-made server: talk gets each connection, with its
// number, from 1, and the connection is closed when talk returns.
func (c *check) listen(talk func(n int, conn net.Conn)) (address string) {
	c.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.Fatalf("Listen: %v", err)
	}
	c.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.Cleanup(func() { conn.Close() })
			go func() {
				defer conn.Close()
				talk(n, conn)
			}()
		}
	}()
	return l.Addr().String()
}
