package memhttp

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"time"
)

// A Fault is what goes wrong with one request. The zero Fault is nothing: the handler answers.
type Fault struct {
	Delay      time.Duration // passes before the handler is called, so before the response's headers
	ChunkDelay time.Duration // passes before each Write of the response's body but the first; each is sent by itself
	ReadDelay  time.Duration // passes before the handler reads each KiB of the request's body

	Status int         // answers with this status in place of the handler
	Body   string      // what Status sends along
	Header http.Header // added to the response's headers

	// Reset is where the connection is reset: the client sees a *net.OpError of syscall.ECONNRESET. Truncate, unless
	// Reset is set, is where it is closed: the client sees io.ErrUnexpectedEOF, or io.EOF with HTTP/1 BeforeHeaders.
	// With HTTP/2, all requests on the connection see it.
	Reset, Truncate Point
}

// A Point is a place in a response. The handler gets no further, and panics with http.ErrAbortHandler. A response that
// ends before the Point is cut at its end, which a client cannot see if it knows the length by then. With HTTP/2, a cut
// takes a millisecond.
type Point int

const (
	BeforeHeaders Point = 1 + iota // nothing is sent, and the handler is not called
	AfterHeaders                   // the headers are sent, and none of the body
)

// AfterBody is the Point after n bytes of the body.
func AfterBody(n int) Point { return AfterHeaders + Point(n) }

// A ConnFault is what goes wrong with one connection. The zero ConnFault is nothing.
type ConnFault struct {
	Dial    time.Duration // passes before the dial succeeds, or is refused
	Refused bool          // the dial fails: *net.OpError of syscall.ECONNREFUSED
	Accept  time.Duration // passes before the server attends to the connection; the client may send in the meantime
}

// Sequence gives the n-th request the n-th fault, and those after the last none. It is for [Server.Fault].
func Sequence(faults ...Fault) func(int, *http.Request) Fault {
	return func(n int, _ *http.Request) Fault {
		if n < len(faults) {
			return faults[n]
		}
		return Fault{}
	}
}

// Statuses is a Sequence of nothing but statuses; 0 lets the handler answer.
func Statuses(codes ...int) func(int, *http.Request) Fault {
	faults := make([]Fault, len(codes))
	for i, code := range codes {
		faults[i].Status = code
	}
	return Sequence(faults...)
}

// serve lets the handler answer the request, with the fault in its way.
func (f Fault) serve(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	ctx := r.Context()
	if sleep(ctx, ctx, f.Delay) != nil {
		panic(http.ErrAbortHandler) // the client has left
	}
	out := &writer{ResponseWriter: w, ctx: ctx, delay: f.ChunkDelay, end: cmp.Or(f.Reset, f.Truncate), reset: f.Reset > 0,
		http2: r.ProtoMajor == 2}
	if out.end == BeforeHeaders {
		out.cut()
	}
	if f.ReadDelay > 0 {
		r.Body = &slowBody{r.Body, ctx, f.ReadDelay}
	}
	maps.Copy(w.Header(), f.Header)
	if f.Status != 0 {
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(f.Status)
			if f.Body != "" {
				io.WriteString(w, f.Body)
			}
		})
	}
	if out.end > 0 || out.delay > 0 {
		w = out
	}
	handler.ServeHTTP(w, r)
	if out.end > 0 {
		out.cut()
	}
}

// A writer is a ResponseWriter with a fault.
type writer struct {
	http.ResponseWriter
	ctx   context.Context
	delay time.Duration
	end   Point // seen from here: comes down to AfterHeaders as the body is written; 0 is none
	reset bool  // at the end, rather than close
	http2 bool
	wrote bool
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) Flush() {
	if w.end == AfterHeaders {
		w.cut()
	}
	http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	if w.end == AfterHeaders && status >= 200 {
		w.cut()
	}
}

func (w *writer) Write(p []byte) (int, error) {
	if w.wrote {
		if err := sleep(w.ctx, w.ctx, w.delay); err != nil {
			return 0, err
		}
	}
	w.wrote = true
	if left := int(w.end - AfterHeaders); w.end > 0 && len(p) >= left {
		w.ResponseWriter.Write(p[:left])
		w.cut()
	}
	n, err := w.ResponseWriter.Write(p)
	if w.end > 0 {
		w.end -= Point(n)
	}
	if w.delay > 0 {
		w.Flush()
	}
	return n, err
}

// cut sends what was written and ends the connection.
func (w *writer) cut() {
	if w.end != BeforeHeaders {
		http.NewResponseController(w.ResponseWriter).Flush()
		if w.http2 {
			time.Sleep(time.Millisecond) // Flush does not wait for the last frame to be sent
		}
	}
	if c := w.ctx.Value(connKey{}).(*conn); w.reset {
		c.reset()
	} else {
		c.Close()
	}
	panic(http.ErrAbortHandler)
}

// A slowBody is a request's body that is read slowly.
type slowBody struct {
	io.ReadCloser
	ctx   context.Context
	delay time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	if err := sleep(b.ctx, b.ctx, b.delay); err != nil {
		return 0, err
	}
	return b.ReadCloser.Read(p[:min(len(p), 1<<10)])
}
