package httpbody

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var errRead = errors.New("connection reset")

// source is a body that yields text and then err.
type source struct {
	io.Reader
	closed int
}

func (s *source) Close() error { s.closed++; return nil }

func newSource(text string, err error) *source {
	return &source{Reader: io.MultiReader(strings.NewReader(text), errReader{err})}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestTrack(t *testing.T) {
	for _, tt := range []struct {
		name string
		body *source
		use  func(io.ReadCloser)
		want []error
	}{
		{"read to the end", newSource("abc", io.EOF), func(b io.ReadCloser) { io.ReadAll(b) }, []error{nil}},
		{"read to the end, then closed", newSource("abc", io.EOF), func(b io.ReadCloser) { io.ReadAll(b); b.Close() }, []error{nil}},
		{"closed early", newSource("abc", io.EOF), func(b io.ReadCloser) { b.Close(); b.Close() }, []error{nil}},
		{"read fails", newSource("abc", errRead), func(b io.ReadCloser) { io.ReadAll(b); io.ReadAll(b); b.Close() }, []error{errRead}},
		{"not ended", newSource("abc", io.EOF), func(b io.ReadCloser) { b.Read(make([]byte, 2)) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []error
			resp := &http.Response{Body: tt.body}
			Track(resp, func(err error) { got = append(got, err) })
			tt.use(resp.Body)
			if !slices.Equal(got, tt.want) {
				t.Errorf("done called with %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTrackWithoutBody(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"nil": nil, "NoBody": http.NoBody} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			resp := &http.Response{Body: body}
			Track(resp, func(error) { calls++ })
			if calls != 1 || resp.Body != http.NoBody {
				t.Errorf("done called %d times, body %T; want once, http.NoBody", calls, resp.Body)
			}
		})
	}
}

// A connection that has switched protocols can do afterwards what it could before, and
// nothing more.
func TestTrackKeepsWhatAConnectionCanDo(t *testing.T) {
	type writer interface {
		io.ReadCloser
		io.Writer
	}
	type halfClosing interface {
		writer
		halfCloser
	}
	pipe, other := net.Pipe()
	defer other.Close()
	for name, original := range map[string]io.ReadCloser{
		"body":                        newSource("", io.EOF),
		"writer":                      struct{ writer }{pipe},
		"writer that half-closes":     struct{ halfClosing }{halfClosingPipe{Conn: pipe}},
		"connection":                  pipe,
		"connection that half-closes": halfClosingPipe{Conn: pipe},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &http.Response{Body: original}
			Track(resp, func(error) {})
			if got, want := abilities(resp.Body), abilities(original); got != want {
				t.Errorf("before: %s\nafter:  %s", want, got)
			}
		})
	}
}

type halfClosingPipe struct {
	net.Conn
	halved *bool
}

func (p halfClosingPipe) CloseWrite() error { *p.halved = true; return nil }

func abilities(body io.ReadCloser) string {
	_, writes := body.(io.Writer)
	_, halves := body.(halfCloser)
	_, connects := body.(net.Conn)
	return fmt.Sprintf("io.Writer %t, CloseWrite %t, net.Conn %t", writes, halves, connects)
}

func TestTrackPassesOnWhatAConnectionIsTold(t *testing.T) {
	pipe, other := net.Pipe()
	halved, ends := false, 0
	resp := &http.Response{Body: halfClosingPipe{pipe, &halved}}
	Track(resp, func(error) { ends++ })
	conn := resp.Body.(net.Conn)

	go conn.Write([]byte("ping"))
	p := make([]byte, 4)
	if _, err := io.ReadFull(other, p); err != nil || string(p) != "ping" {
		t.Errorf("wrote %q, %v", p, err)
	}
	if conn.LocalAddr() != pipe.LocalAddr() || conn.RemoteAddr() != pipe.RemoteAddr() {
		t.Errorf("addresses %v, %v", conn.LocalAddr(), conn.RemoteAddr())
	}
	conn.(halfCloser).CloseWrite()
	if !halved {
		t.Error("CloseWrite did not get to the connection")
	}
	conn.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := conn.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read after its deadline: %v", err)
	}
	other.Close()
	conn.SetReadDeadline(time.Time{})
	if _, err := conn.Read(p); err != io.EOF || ends != 0 {
		t.Errorf("at its end it reads %v, and has ended %d times, want only when it is closed", err, ends)
	}
	if conn.Close(); ends != 1 {
		t.Errorf("ended %d times", ends)
	}
}

func TestTrackConcurrently(t *testing.T) {
	for range 1000 {
		calls := 0
		resp := &http.Response{Body: io.NopCloser(strings.NewReader("abc"))}
		Track(resp, func(error) { calls++ })
		var wg sync.WaitGroup
		wg.Go(func() { resp.Body.Close() })
		wg.Go(func() { resp.Body.Close() })
		wg.Wait()
		if calls != 1 {
			t.Fatalf("done called %d times", calls)
		}
	}
}

type closer func()

func (closer) Read([]byte) (int, error) { return 0, nil }
func (c closer) Close() error           { c(); return nil }

// What done gives back must not be in use any more.
func TestTrackEndsAfterClose(t *testing.T) {
	closed := false
	resp := &http.Response{Body: closer(func() { closed = true })}
	Track(resp, func(error) {
		if !closed {
			t.Error("done was called before the body was closed")
		}
	})
	resp.Body.Close()
}

type panicker struct{ io.Reader }

func (panicker) Close() error { panic("close") }

func TestTrackEndsThoughClosePanics(t *testing.T) {
	calls := 0
	resp := &http.Response{Body: panicker{strings.NewReader("")}}
	Track(resp, func(error) { calls++ })
	func() {
		defer func() {
			if recover() != "close" {
				t.Error("the panic did not pass through")
			}
		}()
		resp.Body.Close()
	}()
	if calls != 1 {
		t.Errorf("done called %d times", calls)
	}
}

type endFunc func(error)

func (f endFunc) Ended(err error) { f(err) }

// Only a body that was read to its end is complete, and only then the trailers are there.
func TestComplete(t *testing.T) {
	for name, tt := range map[string]struct {
		body io.ReadCloser
		use  func(io.ReadCloser)
		want bool
	}{
		"read to the end": {newSource("abc", io.EOF), func(b io.ReadCloser) { io.ReadAll(b); b.Close() }, true},
		"closed early":    {newSource("abc", io.EOF), func(b io.ReadCloser) { b.Close(); io.ReadAll(b) }, false},
		"broken":          {newSource("abc", errRead), func(b io.ReadCloser) { io.ReadAll(b) }, false},
	} {
		var b Body
		got := !tt.want
		resp := &http.Response{Body: tt.body}
		b.Track(resp, endFunc(func(error) { got = b.Complete() }))
		tt.use(resp.Body)
		if got != tt.want {
			t.Errorf("%s: complete: %v", name, got)
		}
	}
}
