// Package httpbody follows an HTTP response body to its end.
package httpbody

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Track arranges for done to be called exactly once, when the body of resp has
// come to its end: with nil at [io.EOF] or when the reader closes it, with the
// error when a read fails. A response without a body has ended already, so done
// runs before Track returns. Track replaces resp.Body, which is never nil
// afterwards; [http.NoBody] stays what it is and a body that can be written to,
// as that of a 101, still can.
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
	if w, ok := resp.Body.(io.Writer); ok {
		resp.Body = &duplex{body: &b.body, Writer: w}
		return
	}
	resp.Body = &b.body
}

type body struct {
	io.ReadCloser
	done  Ender
	ended atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.end(nil)
	default:
		b.end(err)
	}
	return n, err
}

// Close reports the end even if closing panics, and only after it: what done
// gives back must not be in use any more.
func (b *body) Close() error {
	defer b.end(nil)
	return b.ReadCloser.Close()
}

func (b *body) end(err error) {
	if !b.ended.Swap(true) {
		b.done.Ended(err)
	}
}

// duplex is the body of a connection that has switched protocols.
type duplex struct {
	*body
	io.Writer
}
