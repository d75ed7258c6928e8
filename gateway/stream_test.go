package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/memhttp"
)

// What goes wrong in the middle of a stream is the same *Error that it would be in a
// body that is read at once, and is so for each Read.
func TestStreamFailsWithAnError(t *testing.T) {
	broken := errors.New("connection reset")
	corrupt := gzipped(strings.Repeat("text", 100))
	corrupt = corrupt[:len(corrupt)-6] + "xxxxxx"
	for _, tt := range []struct {
		name   string
		body   io.Reader
		fields []string
		want   gateway.ErrorKind
	}{
		{"breaks off", io.MultiReader(strings.NewReader("text"), iotest.ErrReader(broken)), nil, gateway.Incomplete},
		{"is too long", strings.NewReader(strings.Repeat("x", 1001)), nil, gateway.TooLarge},
		{"is corrupt", strings.NewReader(corrupt), []string{"Content-Encoding: gzip"}, gateway.Undecodable},
	} {
		transport := roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := reply(200, "", tt.fields...)(req)
			resp.Body, resp.ContentLength = io.NopCloser(tt.body), -1
			return resp, err
		})
		cfg := gateway.Config{Name: "hub", Transport: transport}
		stream, err := get[io.ReadCloser](t, cfg, gateway.EndpointConfig{MaxResponseBytes: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			n, err := io.Copy(io.Discard, stream)
			e := asError(t, err, tt.want)
			if e.Name != "hub" || e.Endpoint != "GET /x" || e.Status != 200 || !e.Sent || n > 1000 {
				t.Errorf("%s: %+v after %d bytes", tt.name, *e, n)
			}
			if tt.want == gateway.Incomplete && (!errors.Is(err, broken) || !e.Retryable()) {
				t.Errorf("%v, retryable %t", err, e.Retryable())
			}
		}
		stream.Close()
	}
}

// A 204 has an empty stream, which can be closed like any other.
func TestStreamOfNothing(t *testing.T) {
	stream, err := get[io.ReadCloser](t, gateway.Config{Transport: reply(204, "")}, gateway.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(stream)
	if len(text) > 0 || err != nil || stream.Close() != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// The context of a stream ends when the stream is closed, and not before.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, "0123456789")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
		}))
		cfg := gateway.Config{BaseURL: srv.URL(), Transport: srv.Transport(), Timeout: 10 * time.Second, MaxResponseBytes: 20}
		stream, err := get[io.ReadCloser](t, cfg, gateway.EndpointConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(stream, make([]byte, 50)); err != nil {
			t.Errorf("reading: %v", err)
		}
		stream.Close()
		stream, err = get[io.ReadCloser](t, cfg, gateway.EndpointConfig{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		n, err := io.Copy(io.Discard, stream)
		if e := asError(t, err, gateway.Incomplete); !e.Timeout() {
			t.Errorf("%v is no timeout", e)
		}
		if time.Since(begin) != 10*time.Second || n < 90 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %d bytes, %v", time.Since(begin), n, err)
		}
		stream.Close()
	})
}
