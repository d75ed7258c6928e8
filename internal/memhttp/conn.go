package memhttp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how many bytes one direction of a connection holds: a writer that is further ahead waits for the reader.
const bufferSize = 64 << 10

// A conn is one end of a connection. Its errors are those of a TCP connection.
type conn struct {
	in, out       *stream
	local, remote net.Addr
}

// pipe returns the two ends of a connection.
func pipe(client, server net.Addr) (near, far *conn) {
	up, down := newStream(), newStream()
	return &conn{down, up, client, server}, &conn{up, down, server, client}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close ends both directions. The other end still reads what was written, then EOF.
func (c *conn) Close() error {
	c.in.end(&c.in.reading, &c.in.writing, syscall.EPIPE)
	return c.CloseWrite()
}

// CloseWrite ends the direction away from this end.
func (c *conn) CloseWrite() error {
	c.out.end(&c.out.writing, &c.out.reading, io.EOF)
	return nil
}

// reset is a Close that the other end takes for a reset by peer. It tells the other end first: whoever reads here will
// Close when that fails, and must come too late.
func (c *conn) reset() {
	c.out.end(&c.out.writing, &c.out.reading, syscall.ECONNRESET)
	c.in.end(&c.in.reading, &c.in.writing, syscall.ECONNRESET)
}

func (c *conn) LocalAddr() net.Addr                { return c.local }
func (c *conn) RemoteAddr() net.Addr               { return c.remote }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.in.setDeadline(&c.in.reading, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(&c.out.writing, t) }
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// A stream is one direction of a connection.
type stream struct {
	mu               sync.Mutex
	changed          *sync.Cond
	buf              bytes.Buffer
	reading, writing side
}

// A side is what one end of a stream has come to.
type side struct {
	err      error // final; reading meets it when buf is empty
	deadline time.Time
}

func newStream() *stream {
	s := new(stream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.reading.err == net.ErrClosed:
			return 0, net.ErrClosed
		case s.reading.late():
			return 0, os.ErrDeadlineExceeded
		case s.buf.Len() > 0 || len(p) == 0:
			s.changed.Broadcast()
			return s.buf.Read(p)
		case s.reading.err != nil:
			return 0, s.reading.err
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writing.err != nil:
			return n, s.writing.err
		case s.writing.late():
			return n, os.ErrDeadlineExceeded
		}
		room := min(bufferSize-s.buf.Len(), len(p)-n)
		s.buf.Write(p[n : n+room])
		s.changed.Broadcast()
		if n += room; n == len(p) {
			return n, nil
		}
		s.changed.Wait()
	}
}

// end closes one side; the other one, unless it is closed itself, will meet err.
func (s *stream) end(own, other *side, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.err = net.ErrClosed; other.err == nil {
		other.err = err
	}
	s.changed.Broadcast()
}

func (s *stream) setDeadline(e *side, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.deadline = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() {
			s.mu.Lock() // nobody is between a look at the deadline and the wait
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast()
	return nil
}

func (e *side) late() bool { return !e.deadline.IsZero() && !time.Now().Before(e.deadline) }
