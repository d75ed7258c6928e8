// Package httpbody follows an HTTP response body to its end.
package httpbody

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Track arranges for done to be called exactly once, when the body of resp has
// come to its end: with nil at [io.EOF] or when the reader closes it, with the
// error when a read fails. A response without a body has ended already, so done
// runs before Track returns. Track replaces resp.Body, which is never nil
// afterwards; [http.NoBody] stays what it is. A body that can be written to, as that
// of a 101, still can; it keeps CloseWrite if it has it, and stays a [net.Conn] if it
// is one. It ends only when it is closed: at io.EOF the other direction is still open,
// and a read that has met its deadline can be tried again.
//
// Reads and Close may run concurrently; done runs in whichever ends the body.
func Track(resp *http.Response, done func(error)) {
	new(Body).Track(resp, ender(done))
}

// An Ender is told the end of a body.
type Ender interface{ Ended(error) }

type ender func(error)

func (f ender) Ended(err error) { f(err) }

// A Body follows a body as a part of something that is allocated anyway.
type Body struct{ body body }

// Track is the function of that name, with b for the response's body.
func (b *Body) Track(resp *http.Response, done Ender) {
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.Body == http.NoBody {
		done.Ended(nil)
		return
	}
	b.body.ReadCloser, b.body.done = resp.Body, done
	resp.Body = b.body.like(resp.Body)
}

// Complete reports whether the body was read to its end, so that the response's
// trailers are there. It can be asked from Ended on.
func (b *Body) Complete() bool { return b.body.complete }

type body struct {
	io.ReadCloser
	done     Ender
	ended    atomic.Bool
	complete bool
	twoWays  bool // ends only when it is closed
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil || b.twoWays:
	case err == io.EOF:
		b.end(nil, true)
	default:
		b.end(err, false)
	}
	return n, err
}

// Close reports the end even if closing panics, and only after it: what done
// gives back must not be in use any more.
func (b *body) Close() error {
	defer b.end(nil, false)
	return b.ReadCloser.Close()
}

func (b *body) end(err error, complete bool) {
	if !b.ended.Swap(true) {
		b.complete = complete
		b.done.Ended(err)
	}
}

// like returns b with what the original has beyond a body, if it is a connection that
// has switched protocols. It adds nothing: who uses one asks what it can do.
func (b *body) like(original io.ReadCloser) io.ReadCloser {
	w, ok := original.(io.Writer)
	if !ok {
		return b
	}
	b.twoWays = true
	half, halves := original.(halfCloser)
	conn, connects := original.(connection)
	switch {
	case halves && connects:
		return &struct {
			*body
			connection
			halfCloser
		}{b, conn, half}
	case connects:
		return &struct {
			*body
			connection
		}{b, conn}
	case halves:
		return &struct {
			*body
			io.Writer
			halfCloser
		}{b, w, half}
	}
	return &struct {
		*body
		io.Writer
	}{b, w}
}

// halfCloser ends one direction. The proxy of net/http/httputil passes on with it that
// a client has said everything.
type halfCloser interface{ CloseWrite() error }

// connection is [net.Conn] without what a body has.
type connection interface {
	io.Writer
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}
