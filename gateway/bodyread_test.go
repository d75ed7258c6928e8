package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/internal/mishap"
)

// stuck is a reader that hangs after some text, until it is let go.
type stuck struct {
	io.Reader
	let chan struct{}
}

func newStuck() *stuck { return &stuck{strings.NewReader("some text"), make(chan struct{})} }

func (s *stuck) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		<-s.let
	}
	return n, err
}

// closer is one whose Close ends the Read, as that of a pipe does.
type closer struct{ *stuck }

func (c closer) Close() error {
	close(c.let)
	return nil
}

// polite is one whose Close waits for the Read, as that of a server's request does.
type polite struct {
	*stuck
	closed *bool
}

func (p polite) Close() error {
	<-p.let
	*p.closed = true
	return nil
}

// A call whose request hangs in the caller's reader ends when its time is over, or its
// context. The reader is closed, and nothing is left behind but a Read that does not end.
func TestHangingBodyEndsWithTheCall(t *testing.T) {
	type form struct {
		Body gateway.Multipart `body:""`
	}
	for _, http2 := range []bool{false, true} {
		for _, want := range []time.Duration{10 * time.Second, 5 * time.Second} { // Timeout, and an earlier cancel
			for kind := range 4 {
				t.Run(fmt.Sprint("after ", want, ", reader ", kind, ", HTTP/2 ", http2), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := memhttp.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
							io.Copy(io.Discard, r.Body)
						}))
						transport := srv.Transport()
						if http2 {
							transport = memhttp.HTTP2(transport)
						}
						g := mustNew(t, gateway.Config{BaseURL: srv.URL(), Transport: transport, Timeout: 10 * time.Second})
						ctx, cancel := context.WithCancelCause(t.Context())
						defer cancel(nil)
						cancelled := want < 10*time.Second
						if cancelled {
							time.AfterFunc(want, func() { cancel(errors.New("gone")) })
						}
						s, closed, begin := newStuck(), false, time.Now()
						var err error
						switch put := gateway.NewEndpoint[io.Reader, gateway.None](g, "PUT /x", gateway.EndpointConfig{}); kind {
						case 0:
							_, err = put.Call(ctx, s)
							defer close(s.let)
						case 1:
							_, err = put.Call(ctx, closer{s})
						case 2:
							_, err = put.Call(ctx, polite{s, &closed})
							defer func() {
								close(s.let)
								if synctest.Wait(); !closed {
									t.Error("the reader is open")
								}
							}()
						case 3:
							upload := gateway.NewEndpoint[form, gateway.None](g, "POST /x", gateway.EndpointConfig{})
							_, err = upload.Call(ctx, form{gateway.Multipart{{Name: "a", Content: strings.NewReader("x")}, {Name: "b", Content: closer{s}}}})
						}
						e := asError(t, err, gateway.NoResponse)
						if took := time.Since(begin); took != want || e.Timeout() == cancelled || !e.Sent {
							t.Errorf("after %v: %v", took, err)
						}
					})
				})
			}
		}
	}
}

// A body that can be sent again ends with the call, too, whenever it hangs.
func TestHangingBodyEndsWithARepeatedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		defer close(let)
		sends := 0
		transport := roundTripper(func(req *http.Request) (*http.Response, error) {
			if sends++; sends == 1 {
				req.Body.Close()
				return reply(http.StatusTemporaryRedirect, "", "Location: /y")(&http.Request{})
			}
			_, err := io.Copy(io.Discard, req.Body)
			req.Body.Close()
			return nil, err
		})
		put := gateway.NewEndpoint[io.Reader, gateway.None](mustNew(t, gateway.Config{Transport: transport}), "PUT /x", gateway.EndpointConfig{})
		begin := time.Now()
		_, err := put.Call(t.Context(), hangingFile{strings.NewReader("text"), let})
		if e := asError(t, err, gateway.NoResponse); sends != 2 || !e.Timeout() || time.Since(begin) != 30*time.Second {
			t.Errorf("%d requests, after %v %v", sends, time.Since(begin), err)
		}
	})
}

// hangingFile can be read at any offset, as one of a network can, but is never read.
type hangingFile struct {
	*strings.Reader
	let chan struct{}
}

func (f hangingFile) ReadAt([]byte, int64) (int, error) {
	<-f.let
	return 0, io.ErrUnexpectedEOF
}

// What a reader returns gets to the other side as it is, in whatever pieces it is read.
func TestReaderIsSentAsItIs(t *testing.T) {
	text := strings.Repeat("0123456789", 20_000)
	broken := errors.New("broken")
	for name, r := range map[string]io.Reader{
		"at once": strings.NewReader(text), "in halves": iotest.HalfReader(strings.NewReader(text)),
		"with its end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		_, body, err := sent(t, "PUT /files/{name}", upload{Name: "a", Body: io.MultiReader(r)}, gateway.EndpointConfig{})
		if err != nil || body != text {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
	}
	_, _, err := sent(t, "PUT /files/{name}", upload{Name: "a", Body: iotest.ErrReader(broken)}, gateway.EndpointConfig{})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// A reader that ends badly does so for who reads it, or, if nobody does any more, as
// any goroutine does.
func TestReaderMishaps(t *testing.T) {
	var cases []mishap.Case
	for name, place := range map[string]struct {
		after time.Duration
		want  [3]string // of a panic, an exit, a hang
	}{
		"while the call goes on": {time.Second, [3]string{"panics", "exits", "timeout"}},
		"after the call":         {time.Minute, [3]string{mishap.Dies, "timeout", "timeout"}},
	} {
		for i, want := range place.want {
			cases = append(cases, mishap.Case{Name: fmt.Sprint(name, " ", mishap.Endings[i]), Want: want, Run: func(t *testing.T) string {
				transport := roundTripper(func(req *http.Request) (*http.Response, error) {
					defer req.Body.Close()
					_, err := io.Copy(io.Discard, req.Body)
					return nil, err
				})
				g := mustNew(t, gateway.Config{Transport: transport})
				put := gateway.NewEndpoint[io.Reader, gateway.None](g, "PUT /x", gateway.EndpointConfig{})
				var err error
				how, _ := mishap.Ended(func() {
					_, err = put.Call(context.Background(), badReader(func() {
						time.Sleep(place.after)
						mishap.Endings[i].End()
					}))
				})
				if n := g.Stats().Endpoints[0].InFlight; n != 0 {
					return fmt.Sprint(n, " calls in flight")
				}
				if how != mishap.Returns {
					return how.String()
				}
				time.Sleep(2 * time.Minute) // past the end of a reader that was left
				if !asError(t, err, gateway.NoResponse).Timeout() {
					return err.Error()
				}
				return "timeout"
			}})
		}
	}
	mishap.Run(t, mishap.Sorted(cases))
}

type badReader func()

func (b badReader) Read([]byte) (int, error) {
	b()
	return 0, io.EOF
}
