package httpbody

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
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

func TestTrackKeepsWriter(t *testing.T) {
	client, server := io.Pipe()
	resp := &http.Response{Body: struct {
		io.ReadCloser
		io.Writer
	}{newSource("", io.EOF), server}}
	Track(resp, func(error) {})
	go resp.Body.(io.Writer).Write([]byte("ping"))
	p := make([]byte, 4)
	if _, err := io.ReadFull(client, p); err != nil || string(p) != "ping" {
		t.Errorf("wrote %q, %v through the tracked body", p, err)
	}
	resp.Body = newSource("", io.EOF)
	Track(resp, func(error) {})
	if _, ok := resp.Body.(io.Writer); ok {
		t.Error("a body that cannot be written to has become a Writer")
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
