package gateway_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/memhttp"
)

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

// The limit is one of decoded bytes, whoever decodes, and holds for errors too.
func TestCompressionBomb(t *testing.T) {
	bomb := gzipped(`"` + strings.Repeat("x", 11<<20) + `"`)
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	synctest.Test(t, func(t *testing.T) {
		status := 200
		srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			io.WriteString(w, bomb)
		}))
		plain := srv.Transport()
		plain.DisableCompression = true // so that the gateway decodes
		for name, transport := range map[string]http.RoundTripper{"net/http": srv.Transport(), "gateway": plain} {
			status = 200
			cfg := gateway.Config{BaseURL: srv.URL(), Transport: transport}
			_, err := get[string](t, cfg, gateway.EndpointConfig{Codec: gateway.Codec{ContentType: "application/json"}})
			asError(t, err, gateway.WrongContentType) // text by its type
			_, err = get[any](t, cfg, gateway.EndpointConfig{})
			if e := asError(t, err, gateway.TooLarge); e.Retryable() {
				t.Errorf("%s: %v is retryable", name, e)
			}
			_, err = get[any](t, cfg, gateway.EndpointConfig{MaxResponseBytes: 12 << 20})
			if err != nil {
				t.Errorf("%s, with a higher limit: %v", name, err)
			}
			stream, err := get[io.ReadCloser](t, cfg, gateway.EndpointConfig{MaxResponseBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, stream); n != 1<<20 || err == nil {
				t.Errorf("%s: a stream of %d bytes ends with %v", name, n, err)
			}
			stream.Close()
			status = 500
			_, err = get[any](t, cfg, gateway.EndpointConfig{})
			if e := asError(t, err, gateway.BadStatus); len(e.Body) != 64<<10 {
				t.Errorf("%s: the error has %d bytes", name, len(e.Body))
			}
			_, err = get[any](t, cfg, gateway.EndpointConfig{MaxResponseBytes: 100})
			if e := asError(t, err, gateway.BadStatus); len(e.Body) != 100 {
				t.Errorf("%s: the error has %d bytes", name, len(e.Body))
			}
		}
	})
}

func TestSizeLimit(t *testing.T) {
	for n, limit := range map[int]int64{100: 100, 101: 100, 102: 101, 5: -1, 0: 1} {
		body := `"` + strings.Repeat("x", max(0, n-2)) + `"`
		if n == 0 {
			body = ""
		}
		for _, known := range []bool{true, false} {
			transport := roundTripper(func(req *http.Request) (*http.Response, error) {
				resp, err := reply(200, body)(req)
				if !known {
					resp.ContentLength = -1
				}
				return resp, err
			})
			v, err := get[[]byte](t, gateway.Config{Transport: transport, MaxResponseBytes: limit}, gateway.EndpointConfig{})
			if limit > 0 && int64(n) > limit {
				asError(t, err, gateway.TooLarge)
			} else if err != nil || len(v) != n {
				t.Errorf("%d bytes, limit %d: %d, %v", n, limit, len(v), err)
			}
		}
	}
}

// A server that promises much and sends little gets little memory.
func TestPromisedLength(t *testing.T) {
	b := &bufferSize{Reader: strings.NewReader(`"x"`)}
	transport := roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := reply(200, "", asJSON)(req)
		resp.ContentLength, resp.Body = 9<<20, io.NopCloser(b)
		return resp, err
	})
	get[any](t, gateway.Config{Transport: transport}, gateway.EndpointConfig{})
	if b.largest == 0 || b.largest > 100<<10 {
		t.Errorf("the body is read into %d bytes", b.largest)
	}
}

// bufferSize notes how large the buffers are into which it is read.
type bufferSize struct {
	io.Reader
	largest int
}

func (b *bufferSize) Read(p []byte) (int, error) {
	b.largest = max(b.largest, len(p))
	return b.Reader.Read(p)
}
