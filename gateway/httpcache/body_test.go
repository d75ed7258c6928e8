package httpcache_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/memhttp"
)

// stream answers with a body of unknown length.
func stream(r *http.Request, body io.Reader, fields ...string) *http.Response {
	resp := answer(r, "", append(fields, "Cache-Control: max-age=60")...)
	resp.ContentLength, resp.Body = -1, io.NopCloser(body)
	return resp
}

// newServer serves a handler in memory, and returns a client with a cache.
func newServer(t *testing.T, h http.HandlerFunc) (*http.Client, *memhttp.Server) {
	s := memhttp.NewServer(t, h)
	c := httpcache.New(httpcache.Config{})
	base := s.Transport()
	t.Cleanup(func() { c.Close() })
	return &http.Client{Transport: &httpcache.Transport{Base: base, Cache: c}}, s
}

// A decoder stops before the end of the body; so does one who knows the length.
func TestDecoderAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		client, _ := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			calls++
			w.Header().Set("Cache-Control", "max-age=60")
			if r.URL.Path == "/chunked" {
				w.(http.Flusher).Flush()
			}
			io.WriteString(w, "{\"a\": 1}\n")
		})
		for _, path := range []string{"", "chunked"} {
			calls = 0
			for range 2 {
				resp, err := client.Get(pageURL + path)
				if err != nil {
					t.Fatal(err)
				}
				var v map[string]int
				if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || v["a"] != 1 {
					t.Errorf("%v, %v", v, err)
				}
				resp.Body.Close()
			}
			if calls != 1 {
				t.Errorf("/%s: %d requests, want 1", path, calls)
			}
		}
	})
}

func TestEarlyCloseIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		size   int
		known  bool
		wait   time.Duration // before the end
		stored bool
	}{
		"little is left":      {60 << 10, false, 0, true},
		"little of the known": {60 << 10, true, 0, true},
		"much is left":        {90 << 10, false, 0, false},
		"much of the known":   {90 << 10, true, 0, false},
		"it takes long":       {10, false, time.Hour, false},
		"it takes a moment":   {10, false, time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
					resp := stream(r, nil)
					if tt.known {
						resp.ContentLength = int64(tt.size)
					}
					resp.Body = &lateEnd{Reader: strings.NewReader(strings.Repeat("x", tt.size)), wait: tt.wait, closed: make(chan bool)}
					return resp, nil
				})
				for range 2 {
					start := time.Now()
					resp, err := client.Get(pageURL)
					if err != nil {
						t.Fatal(err)
					}
					io.ReadFull(resp.Body, make([]byte, 4))
					resp.Body.Close()
					if d := time.Since(start); d > time.Second {
						t.Errorf("Close took %v", d)
					}
				}
				if stored := o.calls.Load() == 1; stored != tt.stored {
					t.Errorf("stored: %v, want %v", stored, tt.stored)
				}
			})
		})
	}
}

// A lateEnd is a body that ends some time after its last byte, or by Close.
type lateEnd struct {
	io.Reader
	wait   time.Duration
	once   *sync.Once // nil: Close must not be called again
	closed chan bool
}

func (b *lateEnd) Read(p []byte) (n int, err error) {
	if n, err = b.Reader.Read(p); err == nil {
		return n, nil
	}
	select {
	case <-time.After(b.wait):
		return 0, io.EOF
	case <-b.closed:
		return 0, errors.New("closed")
	}
}

func (b *lateEnd) Close() error {
	if b.once != nil {
		b.once.Do(func() { close(b.closed) })
	} else {
		close(b.closed)
	}
	return nil
}

func TestFirstByteAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for range 4 {
				io.WriteString(w, "chunk")
			}
		})
		s.Fault = memhttp.Sequence(memhttp.Fault{ChunkDelay: 150 * time.Millisecond})
		start := time.Now()
		resp, err := client.Get(pageURL)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 5))
		if d := time.Since(start); d != 0 {
			t.Errorf("the first byte came after %v", d)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if d := time.Since(start); d != 450*time.Millisecond {
			t.Errorf("the last byte came after %v", d)
		}
		if body, _ := get(t, t.Context(), client, pageURL); body != "chunkchunkchunkchunk" || time.Since(start) != 450*time.Millisecond {
			t.Errorf("the stored body is %q", body)
		}
	})
}

func TestTruncatedBodiesAreNotStored(t *testing.T) {
	for name, fault := range map[string]memhttp.Fault{
		"truncated": {Truncate: memhttp.AfterBody(3)}, "reset": {Reset: memhttp.AfterBody(3)},
	} {
		for _, chunked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				client, s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Cache-Control", "max-age=60")
					if chunked {
						w.(http.Flusher).Flush()
					}
					io.WriteString(w, "0123456789")
				})
				s.Fault = memhttp.Sequence(fault)
				for i, want := range []string{"error", "0123456789", "0123456789"} {
					if got, _ := get(t, t.Context(), client, pageURL); !strings.HasPrefix(got, want) {
						t.Errorf("%s, chunked %v, %d: %q, want %q", name, chunked, i, got, want)
					}
				}
			})
		}
	}
	// One whose length is not as announced, and no error; a length of 0 is no length.
	client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		resp := answer(r, "0123456789", "Cache-Control: max-age=60")
		resp.ContentLength = 9
		switch r.URL.Path {
		case "/longer":
			resp.ContentLength = 11
		case "/none":
			resp.ContentLength = 0
		}
		return resp, nil
	})
	for _, path := range []string{"longer", "longer", "shorter", "shorter"} {
		get(t, t.Context(), client, pageURL+path)
	}
	if n := o.calls.Load(); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
	for range 2 {
		if got, _ := get(t, t.Context(), client, pageURL+"none"); got != "0123456789" || o.calls.Load() != 5 {
			t.Errorf("%q after %d requests", got, o.calls.Load())
		}
	}
}

// A body that is too large passes through: nothing of it is kept or copied.
func TestLargeBodies(t *testing.T) {
	const size = 64 << 20
	block := bytes.Repeat([]byte("x"), 32<<10)
	for name, length := range map[string]int64{"known": size, "unknown": -1} {
		client, o, c := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
			resp := stream(r, io.LimitReader(repeat(block), size))
			resp.ContentLength = length
			return resp, nil
		})
		for range 2 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resp, err := client.Get(pageURL)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 32<<10)
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf)
			resp.Body.Close()
			runtime.ReadMemStats(&after)
			if n != size || err != nil {
				t.Errorf("%s: %d bytes, %v", name, n, err)
			}
			// The entry limit is 1 MiB, and slices grow by doubling.
			limit := uint64(8 << 20)
			if length > 0 {
				limit = 256 << 10
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > limit {
				t.Errorf("%s: %d bytes were allocated", name, got)
			}
		}
		if s := c.Stats(); o.calls.Load() != 2 || s.Bytes > 4096 {
			t.Errorf("%s: %d requests, and %d bytes are kept", name, o.calls.Load(), s.Bytes)
		}
	}
}

type repeat []byte

func (r repeat) Read(p []byte) (int, error) { return copy(p, r), nil }

// net/http unpacks what it has asked for itself, and has no length for it then.
func TestGunzippedBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		client, _ := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("Content-Encoding", "gzip")
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(304)
				return
			}
			z := gzip.NewWriter(w)
			io.WriteString(z, "content")
			z.Close()
		})
		for i, want := range []int64{1, 1, 2, 2} {
			if i == 2 {
				time.Sleep(15 * time.Second)
			}
			body, resp := get(t, t.Context(), client, pageURL)
			if body != "content" || !resp.Uncompressed || resp.Header["Content-Encoding"] != nil || calls.Load() != want {
				t.Errorf("%d: %q, %v, %d requests, want %d", i, body, resp.Header, calls.Load(), want)
			}
		}
		// Who asks for gzip gets it, and not what was unpacked.
		body, resp := get(t, t.Context(), client, pageURL, "Accept-Encoding: gzip")
		if body == "content" || resp.Header.Get("Content-Encoding") != "gzip" || calls.Load() != 3 {
			t.Errorf("%q, %v, %d requests", body, resp.Header, calls.Load())
		}
	})
}
