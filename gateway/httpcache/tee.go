package httpcache

import (
	"fmt"
	"io"
	"net/http"
	"slices"
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

// A tee is a body that is kept while it is read. If requests wait for it, pump reads
// ahead of its reader, who may be slow.
type tee struct {
	x      *exchange      // is told how it went
	entry  *entry         // that the body is for
	origin *http.Response // reading its body changes its Trailer
	own    http.Response  // is the reader's, and gets the Trailer when that has read all
	over   bool           // it has
	length int64          // Content-Length, or -1

	closed atomic.Bool
	direct atomic.Bool   // nothing is kept, and the origin's body is the reader's alone
	turn   chan struct{} // of capacity 1: in it while the origin's body is read
	once   sync.Once     // closes the origin's body

	mu      sync.Mutex
	buf     []byte // of the origin's body, what is kept, or is ahead of the reader
	off     int    // how much of it the reader has had
	held    int64  // of the budget
	err     error  // of the origin's body
	keeping bool
	pumping bool
	stopped bool // pump is to end
}

func newTee(x *exchange, e *entry, origin *http.Response) *tee {
	b := &tee{x: x, entry: e, origin: origin, own: *origin, length: origin.ContentLength, turn: make(chan struct{}, 1), keeping: true}
	b.own.Body, b.own.Trailer = b, origin.Trailer.Clone()
	if origin.Trailer != nil || b.length == 0 {
		b.length = -1 // trailers come after the last byte; and 0 is what stubs forget to set
	}
	return b
}

func (b *tee) Read(p []byte) (n int, err error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if n, err = b.read(p); err == io.EOF && !b.over {
		b.over = true
		for name, values := range b.origin.Trailer {
			if b.own.Trailer == nil {
				b.own.Trailer = http.Header{}
			}
			b.own.Trailer[name] = slices.Clone(values)
		}
	}
	return n, err
}

func (b *tee) read(p []byte) (int, error) {
	if b.direct.Load() {
		return b.origin.Body.Read(p)
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

// readKept reads to the end of what is kept, for one who wants nothing else. Its error
// is why there is no such end.
func (b *tee) readKept() error {
	p := make([]byte, 32<<10)
	for b.wanted(true) {
		if _, err := b.Read(p); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// ahead reads what was read before.
func (b *tee) ahead(p []byte) (n int, err error, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off < len(b.buf) {
		n = copy(p, b.buf[b.off:])
		b.off += n
		b.releaseLocked()
		return n, nil, true
	}
	return 0, b.err, b.err != nil || len(p) == 0
}

// releaseLocked lets go of what nobody needs any more.
func (b *tee) releaseLocked() {
	if !b.keeping && b.off == len(b.buf) {
		b.buf, b.off = nil, 0
		b.direct.Store(!b.pumping && b.err == nil)
	}
}

// fill reads the origin's body into p and gives the turn back. If read is true, p is
// the reader's.
func (b *tee) fill(p []byte, read bool) (n int, err error) {
	err = errNoRead // if Read panics, or calls runtime.Goexit
	defer func() {
		end, body := b.got(p[:n], err, read)
		<-b.turn
		if end != nil {
			b.x.ended(b.entry, b.origin, body, *end)
		}
	}()
	n, err = b.origin.Body.Read(p)
	return n, err
}

var errNoRead = fmt.Errorf("httpcache: reading a body: %w", io.ErrUnexpectedEOF)

// got takes in what was read. end is not nil if that has decided the matter.
func (b *tee) got(p []byte, err error, read bool) (end *ending, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	if !b.keeping {
		if !read {
			b.buf = append(b.buf, p...)
		}
		return nil, nil
	}
	n := int64(len(b.buf) + len(p))
	switch {
	case n > b.x.cache.cfg.MaxEntryBytes:
		end = new(endRefused)
	case !b.growLocked(n):
		end = new(endLost) // there is no room now
	}
	if end == nil || !read {
		b.buf = append(b.buf, p...)
	}
	if read {
		b.off = len(b.buf)
	}
	switch {
	case end != nil:
	case n == b.length, err == io.EOF && b.length < 0:
		end, body = new(endStored), b.buf[:n:n]
		if spare := int64(cap(b.buf)) - n; spare > n/8 {
			body = slices.Clone(body)
		}
	case err != nil: // or it is longer or shorter than announced
		end = new(endLost)
	default:
		return nil, nil
	}
	b.keepNothingLocked()
	return end, body
}

// growLocked makes room for n bytes, in memory and in the budget. What the origin has
// announced is not believed before it has begun to come.
func (b *tee) growLocked(n int64) bool {
	if n <= int64(cap(b.buf)) {
		return true
	}
	size := max(n, 2*int64(cap(b.buf)), 512)
	if b.length >= n {
		size = min(max(size, drainBytes), b.length)
	}
	size = min(size, b.x.cache.cfg.MaxEntryBytes)
	if !b.x.cache.store.room(size - b.held) {
		return false
	}
	b.held = size
	buf := make([]byte, len(b.buf), size)
	copy(buf, b.buf)
	b.buf = buf
	return true
}

// keepNothingLocked gives the budget back.
func (b *tee) keepNothingLocked() {
	b.x.cache.store.room(-b.held)
	b.held, b.keeping = 0, false
	b.releaseLocked()
}

// wanted reports whether more of the origin's body is wanted. If stopped is true, it
// does not matter that nobody waits any more.
func (b *tee) wanted(stopped bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keeping && b.err == nil && (stopped || !b.stopped)
}

// Close ends the reading. Requests that wait for the body get the rest of it
// nonetheless; for others it is read on within bounds.
func (b *tee) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.mu.Lock()
	pumping, stopped := b.pumping, b.stopped
	near := b.keeping && b.length-int64(len(b.buf)) <= drainBytes
	b.mu.Unlock()
	switch {
	case pumping && !stopped:
		return nil // pump closes the origin's body
	case pumping:
		return b.closeSource() // and pump ends
	case near:
		b.drain()
	}
	return b.end()
}

// end closes the origin's body, and gives up what is not whole.
func (b *tee) end() error {
	err := b.closeSource()
	b.mu.Lock()
	lost := b.keeping
	if lost {
		b.keepNothingLocked()
	}
	b.mu.Unlock()
	if lost {
		b.x.ended(b.entry, b.origin, nil, endLost)
	}
	return err
}

func (b *tee) closeSource() (err error) {
	b.once.Do(func() { err = b.origin.Body.Close() })
	return err
}

// drain reads the rest of the origin's body if that is not much. It ends at once if a
// Read is under way, which closing the body interrupts.
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
		if !b.wanted(true) {
			<-b.turn
			return
		}
		n, _ := b.fill(p, false)
		left -= n
	}
}
