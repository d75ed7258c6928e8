package httpcache

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A body that is closed before its end is read on for as much, and for as long, so
// that a decoder that stops one read short does not keep it from being stored.
const (
	drainBytes = 64 << 10
	drainTime  = 100 * time.Millisecond
)

// A tee is a body that is being stored while it is read. If requests wait for
// it, pump reads ahead of its reader, who may be slow.
type tee struct {
	src    io.ReadCloser
	limit  int64 // of what is stored
	length int64 // Content-Length, or -1
	// done is told once how it went: with the whole body, or why there is none.
	done func(body []byte, end ending)

	closed atomic.Bool
	direct atomic.Bool   // nothing is kept, and src is the reader's alone
	turn   chan struct{} // of capacity 1: in it while src is read
	once   sync.Once     // closes src

	mu      sync.Mutex
	buf     []byte // what was read of src while it is kept, or is ahead of the reader
	off     int    // how much of it the reader has had
	err     error  // of src
	keeping bool
	pumping bool
}

// ending is how the attempt to get a storable response has ended.
type ending uint8

const (
	endLost    ending = iota // by chance: another attempt may succeed
	endStored                // there is one now
	endRefused               // not to be stored, and neither will be the next
	endFailed                // the origin did not answer
)

func newTee(resp *http.Response, limit int64, done func([]byte, ending)) *tee {
	b := &tee{src: resp.Body, limit: limit, length: resp.ContentLength, done: done,
		turn: make(chan struct{}, 1), keeping: true}
	if resp.Trailer != nil || b.length == 0 {
		b.length = -1 // trailers come after the last byte; and 0 is what stubs forget to set
	}
	b.buf = make([]byte, 0, min(max(resp.ContentLength, 0), limit))
	return b
}

func (b *tee) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.direct.Load() {
		return b.src.Read(p)
	}
	if n, err, ok := b.ahead(p); ok {
		return n, err
	}
	b.turn <- struct{}{}
	n, err, ok := b.ahead(p) // the pump may have had the turn before
	if ok {
		<-b.turn
		return n, err
	}
	return b.fill(p, true)
}

// ahead reads what was read before.
func (b *tee) ahead(p []byte) (n int, err error, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off < len(b.buf) {
		n = copy(p, b.buf[b.off:])
		b.off += n
		b.release()
		return n, nil, true
	}
	return 0, b.err, b.err != nil || len(p) == 0
}

// release lets go of what nobody needs any more.
func (b *tee) release() {
	if !b.keeping && b.off == len(b.buf) {
		b.buf, b.off = nil, 0
		b.direct.Store(!b.pumping && b.err == nil)
	}
}

// fill reads src into p and gives the turn back. If read is true, p is the reader's.
func (b *tee) fill(p []byte, read bool) (n int, err error) {
	err = errNoRead // if src panics, or calls runtime.Goexit
	defer func() {
		end, body := b.got(p[:n], err, read)
		<-b.turn
		if end != nil {
			b.done(body, *end)
		}
	}()
	n, err = b.src.Read(p)
	return n, err
}

var errNoRead = fmt.Errorf("httpcache: reading a body: %w", io.ErrUnexpectedEOF)

// got takes in what was read. end is not nil if that has decided the matter.
func (b *tee) got(p []byte, err error, read bool) (end *ending, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	if !b.keeping && read {
		return nil, nil
	}
	b.buf = append(b.buf, p...)
	if read {
		b.off = len(b.buf)
	}
	if !b.keeping {
		return nil, nil
	}
	switch n := int64(len(b.buf)); {
	case n > b.limit:
		end = new(endRefused)
	case n == b.length, err == io.EOF && b.length < 0:
		end, body = new(endStored), b.buf[:n:n]
	case err != nil: // or it is longer or shorter than announced
		end = new(endLost)
	default:
		return nil, nil
	}
	b.keeping = false
	b.release()
	return end, body
}

// pump reads src to the end of what is kept. It is started once at most.
func (b *tee) pump() {
	defer func() {
		// A panic of src is its reader's, who finds that the body has ended early.
		_ = recover()
		b.mu.Lock()
		b.pumping = false
		b.release()
		b.mu.Unlock()
		if b.closed.Load() {
			b.closeSource()
		}
	}()
	p := make([]byte, 32<<10)
	for {
		b.turn <- struct{}{}
		b.mu.Lock()
		more := b.keeping && b.err == nil
		b.mu.Unlock()
		if !more {
			<-b.turn
			return
		}
		b.fill(p, false)
	}
}

// startPump reports whether pump is to be started.
func (b *tee) startPump() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pumping || !b.keeping {
		return false
	}
	b.pumping = true
	return true
}

// Close ends the reading. Requests that wait for the body get the rest of it
// nonetheless; for others it is read on within bounds.
func (b *tee) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.mu.Lock()
	pumping, near := b.pumping, b.keeping && b.length-int64(len(b.buf)) <= drainBytes
	b.mu.Unlock()
	if pumping {
		return nil // pump closes src
	}
	if near {
		b.drain()
	}
	err := b.closeSource()
	b.mu.Lock()
	lost := b.keeping
	b.keeping = false
	b.mu.Unlock()
	if lost {
		b.done(nil, endLost)
	}
	return err
}

func (b *tee) closeSource() (err error) {
	b.once.Do(func() { err = b.src.Close() })
	return err
}

// drain reads the rest of src if that is not much. It ends at once if a Read is
// under way, which closing src interrupts.
func (b *tee) drain() {
	timer := time.AfterFunc(drainTime, func() { b.closeSource() })
	defer timer.Stop()
	p := make([]byte, 4<<10)
	for left := drainBytes; left > 0; {
		select {
		case b.turn <- struct{}{}:
		default:
			return
		}
		b.mu.Lock()
		more := b.keeping && b.err == nil
		b.mu.Unlock()
		if !more {
			<-b.turn
			return
		}
		n, _ := b.fill(p, false)
		left -= n
	}
}
