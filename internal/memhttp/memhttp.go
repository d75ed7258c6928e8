// Package memhttp is an HTTP server that lives in memory, for tests inside testing/synctest bubbles.
//
// Server and client are net/http's own. Only the network between them is replaced, by connections that block on nothing
// a bubble cannot see through: while everybody waits, the bubble's time moves on at once. The server speaks HTTP/1 and
// unencrypted HTTP/2 on the same connections; the client chooses, with [HTTP2].
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := memhttp.NewServer(t, handler)
//		srv.Fault = memhttp.Sequence(
//			memhttp.Fault{Status: 503, Header: http.Header{"Retry-After": {"1"}}},
//			memhttp.Fault{Delay: 2 * time.Second},
//			memhttp.Fault{Reset: memhttp.AfterBody(10)},
//		)
//		client := &http.Client{Transport: srv.Transport()}
//		...
//	})
//
// A bubble ends when its last goroutine does. A server made with the bubble's own t is closed by its cleanup, inside the
// bubble, and takes the client's connections along: nothing else is needed as long as every response body was closed
// or read to its end. A server made with a t from outside must be closed before the bubble's function returns.
package memhttp

import (
	"cmp"
	"context"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Server is an HTTP server in memory. Its fields may be set until the first dial. Its methods may be called by
// several goroutines at once.
type Server struct {
	// Fault says what goes wrong with the n-th request, counted from 0 in the order of arrival, as the server sees it:
	// http.Transport itself repeats some requests whose reused connection was reset. Nil: nothing goes wrong.
	// Calls do not overlap, and must not block.
	Fault func(n int, r *http.Request) Fault

	// ConnFault says what goes wrong with the n-th dial, counted from 0. Nil: nothing goes wrong.
	// Calls do not overlap, and must not block.
	ConnFault func(n int) ConnFault

	handler http.Handler
	accept  chan net.Conn
	ctx     context.Context // ends with Close, as do all requests' contexts
	cancel  context.CancelFunc

	mu       sync.Mutex
	dials    int
	requests int
	conns    map[*conn]struct{} // the server's ends
	running  sync.WaitGroup     // connections served, handlers; nothing is added once ctx has ended
}

// NewServer starts a server. It is closed by tb's cleanup, or earlier by Close.
func NewServer(tb testing.TB, handler http.Handler) *Server {
	s := &Server{handler: handler, accept: make(chan net.Conn), conns: map[*conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	server := http.Server{
		Handler:     http.HandlerFunc(s.serve),
		Protocols:   new(http.Protocols),
		ErrorLog:    log.New(tb.Output(), "", 0),
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateClosed:
				s.forget(c.(*conn))
			case http.StateHijacked: // and still ours to close
				s.running.Done()
			}
		},
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	s.running.Go(func() { server.Serve(listener{s}) })
	tb.Cleanup(s.Close)
	return s
}

type connKey struct{}

var serverAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}

// URL returns the server's address. DialContext reaches the server under any other as well.
func (s *Server) URL() string { return "http://memhttp.test" }

// Transport returns a new transport for HTTP/1 that reaches this server whatever the host.
func (s *Server) Transport() *http.Transport { return &http.Transport{DialContext: s.DialContext} }

// HTTP2 makes a new transport speak HTTP/2 only, without TLS, and returns it.
func HTTP2(t *http.Transport) *http.Transport {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// DialContext connects to the server; network and address are ignored. A closed server refuses.
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	n := s.dials
	s.dials++
	var fault ConnFault
	if s.ConnFault != nil {
		fault = s.ConnFault(n)
	}
	s.mu.Unlock()
	sleep(ctx, s.ctx, fault.Dial)

	s.mu.Lock()
	defer s.mu.Unlock()
	err := ctx.Err()
	if err == nil && (fault.Refused || s.ctx.Err() != nil) {
		err = syscall.ECONNREFUSED
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: serverAddr, Err: err}
	}
	near, far := pipe(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 49152 + n%16384}, serverAddr)
	s.conns[far] = struct{}{}
	s.running.Add(1)
	go func() {
		if sleep(s.ctx, s.ctx, fault.Accept) == nil {
			select {
			case s.accept <- far:
				return
			case <-s.ctx.Done():
			}
		}
		s.forget(far)
	}()
	return near, nil
}

// forget is the end of a connection's time with net/http.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Close()
	delete(s.conns, c)
	s.running.Done()
}

// serve is the handler around the handler.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if fault, ok := s.begin(r); ok {
		defer s.running.Done()
		fault.serve(w, r, s.handler)
	}
}

// begin counts a request in, unless Close has stopped counting.
func (s *Server) begin(r *http.Request) (fault Fault, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.requests
	s.requests++
	if s.Fault != nil {
		fault = s.Fault(n, r)
	}
	if s.ctx.Err() != nil {
		return Fault{}, false
	}
	s.running.Add(1)
	return fault, true
}

// ResetConns resets every open connection, as the crash of the server's machine does; the server goes on.
func (s *Server) ResetConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.reset()
	}
}

// Close closes the server and all its connections, ends the contexts of all requests and waits for the handlers.
// It may be called again.
func (s *Server) Close() {
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.cancel() // after that: no handler may answer because its context has ended
	s.mu.Unlock()
	s.running.Wait()
}

// listener hands the dialed connections to net/http.
type listener struct{ s *Server }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.s.accept:
		return c, nil
	case <-l.s.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error   { return nil }
func (l listener) Addr() net.Addr { return serverAddr }

// A Network is several servers by host name: "a" for http://a and http://a:8080. It must not change while it is in use.
type Network map[string]*Server

// Transport returns a new transport for HTTP/1 that reaches the network's servers.
func (n Network) Transport() *http.Transport { return &http.Transport{DialContext: n.DialContext} }

// DialContext connects to the server of that address. An unknown host is a *net.DNSError.
func (n Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if s := n[host]; s != nil {
		return s.DialContext(ctx, network, addr)
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
}

// sleep waits for d, or until one of the contexts ends, and then returns its error.
func sleep(a, b context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-a.Done():
		case <-b.Done():
		}
	}
	return cmp.Or(a.Err(), b.Err())
}
