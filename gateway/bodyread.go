package gateway

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
)

// maxRead is the size of a buffer. It is that of io.Copy.
const maxRead = 32 << 10

// within returns b with the end of ctx for those that read it.
func (b body) within(ctx context.Context) body {
	if !b.foreign || ctx.Done() == nil {
		return b
	}
	b.reader = &source{ctx: ctx, reader: b.reader}
	if again := b.again; again != nil {
		b.again = func() (io.ReadCloser, error) {
			r, err := again()
			if err != nil {
				return nil, err
			}
			return &source{ctx: ctx, reader: r}, nil
		}
	}
	return b
}

// source is a request's body that is the caller's reader. A read of it ends with the
// call at the latest, even if the reader hangs: net/http waits for it.
type source struct {
	ctx    context.Context // of the call
	reader io.ReadCloser
	buf    []byte // not p, which is somebody else's after Read has returned
	state  atomic.Int32
	closed atomic.Bool
}

// The states of a source.
const (
	idle int32 = iota
	reading
	left // ctx has ended while the reader was reading
)

// answer is what the caller's reader has returned.
type answer struct {
	n        int
	err      error
	returned bool // it has neither panicked nor called runtime.Goexit
	panics   any
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	p = p[:min(len(p), maxRead)]
	if len(s.buf) < len(p) {
		s.buf = make([]byte, len(p))
	}
	s.state.Store(reading)
	answers := make(chan answer, 1)
	s.ask(s.buf[:len(p)], answers)
	var a answer
	select {
	case a = <-answers:
	case <-s.ctx.Done():
		if s.state.CompareAndSwap(reading, left) {
			return 0, context.Cause(s.ctx)
		}
		a = <-answers // it comes at the same moment
	}
	switch {
	case a.panics != nil:
		panic(a.panics)
	case !a.returned:
		runtime.Goexit()
	}
	return copy(p, s.buf[:a.n]), a.err
}

// ask reads on a goroutine of its own. A panic is handed to the one who waits; if nobody
// does any more, it takes its course.
func (s *source) ask(buf []byte, answers chan<- answer) {
	go func() {
		var a answer
		defer func() {
			if !s.state.CompareAndSwap(reading, idle) {
				return
			}
			if !a.returned {
				a.panics = recover()
			}
			answers <- a
		}()
		a.n, a.err = s.reader.Read(buf)
		a.returned = true
	}()
}

// Close closes the reader once, which is to end a read that is under way. As some wait
// for it instead, such as the body of a request to a server, Close does not.
func (s *source) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.state.Load() == idle {
		return s.reader.Close()
	}
	go s.reader.Close()
	return nil
}
