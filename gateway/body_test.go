package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway"
)

// mark is a reader that is not to be closed by its name only.
type upload struct {
	Name string    `path:"name"`
	Type string    `header:"Content-Type,omitempty"`
	Body io.Reader `body:""`
}

// sentWithoutEnd is sent by a call whose bodies can be read when it has returned.
func sentWithoutEnd[Req any](t *testing.T, pattern string, in Req) (*http.Request, string, error) {
	r := &record{base: reply(204, "")}
	g := mustNew(t, gateway.Config{Transport: r, Timeout: -1})
	_, err := gateway.NewEndpoint[Req, gateway.None](g, pattern, gateway.EndpointConfig{}).Call(context.Background(), in)
	return r.requests[0], r.bodies[0], err
}

func TestReaderBodies(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.Seek(4, io.SeekStart)
	partly := strings.NewReader("0123456789")
	partly.Seek(4, io.SeekStart)

	for _, tt := range []struct {
		name   string
		body   io.Reader
		want   string
		length int64
		again  bool
	}{
		{"none", nil, "", 0, false},
		{"NoBody", http.NoBody, "", 0, true},
		{"buffer", bytes.NewBufferString("456789"), "456789", 6, true},
		{"bytes", bytes.NewReader([]byte("456789")), "456789", 6, true},
		{"read partly", partly, "456789", 6, true},
		{"file", file, "456789", 6, true},
		{"empty", strings.NewReader(""), "", 0, true},
		{"stream", io.LimitReader(strings.NewReader("456789x"), 6), "456789", -1, false},
		{"closer", newBody("456789"), "456789", -1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, body, err := sentWithoutEnd(t, "PUT /files/{name}", upload{Name: "a", Body: tt.body})
			if err != nil || body != tt.want || req.ContentLength != tt.length || (req.GetBody != nil) != tt.again {
				t.Fatalf("%v; body %q, length %d, again %t; want %q, %d, %t", err, body, req.ContentLength, req.GetBody != nil, tt.want, tt.length, tt.again)
			}
			if tt.want == "" && req.Body != nil && req.Body != http.NoBody {
				t.Errorf("the empty body is a %T, which would be sent in chunks", req.Body)
			}
			if tt.body != nil && req.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("the content type is %q", req.Header.Get("Content-Type"))
			}
			if !tt.again {
				return
			}
			// Two readers at once are independent of each other.
			one, _ := req.GetBody()
			two, _ := req.GetBody()
			start := make([]byte, 3)
			io.ReadFull(one, start)
			all, _ := io.ReadAll(two)
			rest, _ := io.ReadAll(one)
			one.Close()
			if string(all) != tt.want || string(start)+string(rest) != tt.want && tt.want != "" {
				t.Errorf("read again: %q, and %q and %q", all, start, rest)
			}
		})
	}
	if _, err := file.Stat(); err != nil {
		t.Errorf("the file was closed: %v", err)
	}
}

func TestContentTypeOfTheCaller(t *testing.T) {
	req, _, err := sent(t, "PUT /files/{name}", upload{"a", "image/png", strings.NewReader("x")}, gateway.EndpointConfig{})
	if err != nil || req.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%v, %v", req, err)
	}
}

// The body of a request that cannot be made is closed all the same, as is that of one that is not sent.
func TestBodyOfARequestNotSent(t *testing.T) {
	b := newBody("x")
	if _, _, err := sent(t, "PUT /files/{name}", upload{"..", "", b}, gateway.EndpointConfig{}); err == nil || b.closed != 1 {
		t.Errorf("closed %d times (%v)", b.closed, err)
	}
	b = newBody("x")
	if _, _, err := sent(t, "PUT /files/{name}", upload{"a", "a\nb", b}, gateway.EndpointConfig{}); err == nil || b.closed != 1 {
		t.Errorf("closed %d times (%v)", b.closed, err)
	}
	b = newBody("x")
	g := mustNew(t, gateway.Config{Auth: wrapped{gateway.APIKey("X-Key", "bad\n")}, Transport: reply(204, "")})
	_, err := gateway.NewEndpoint[upload, gateway.None](g, "PUT /{name}", gateway.EndpointConfig{}).Call(t.Context(), upload{"a", "", b})
	if asError(t, err, gateway.NoCredentials); b.closed != 1 {
		t.Errorf("closed %d times (%v)", b.closed, err)
	}
}

func TestMultipart(t *testing.T) {
	form := gateway.Multipart{
		{Name: "alt", Content: strings.NewReader("a\r\n--x--")},
		{Name: `quote"d`, FileName: "a\"b\r\nc.txt", Content: strings.NewReader("file")},
		{Name: "typed", ContentType: "application/json", Content: bytes.NewBufferString("{}")},
		{Name: "empty"},
	}
	req, body, err := sent(t, "POST /x", form, gateway.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if req.ContentLength != int64(len(body)) {
		t.Errorf("the length is given as %d and is %d", req.ContentLength, len(body))
	}
	mediaType, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/form-data" {
		t.Fatalf("%q: %v", req.Header.Get("Content-Type"), err)
	}
	again, err := req.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []io.Reader{strings.NewReader(body), again} {
		r := multipart.NewReader(text, params["boundary"])
		for _, want := range []struct{ name, file, contentType, content string }{
			{"alt", "", "", "a\r\n--x--"},
			{"quote%22d", "a%22b%0D%0Ac.txt", "application/octet-stream", "file"},
			{"typed", "", "application/json", "{}"},
			{"empty", "", "", ""},
		} {
			p, err := r.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			content, _ := io.ReadAll(p)
			if p.FormName() != want.name || p.FileName() != want.file || p.Header.Get("Content-Type") != want.contentType || string(content) != want.content {
				t.Errorf("%q %q %v %q, want %q", p.FormName(), p.FileName(), p.Header, content, want)
			}
		}
		if _, err := r.NextPart(); err != io.EOF {
			t.Errorf("after the last part: %v", err)
		}
	}
	if req, body, err := sent(t, "POST /x", gateway.Multipart{}, gateway.EndpointConfig{}); err != nil || !strings.HasPrefix(body, "--") || req.ContentLength != int64(len(body)) {
		t.Errorf("without parts: %v, %q", err, body)
	}
}

// A part that is a stream makes the whole one; each part is closed.
func TestMultipartStream(t *testing.T) {
	one, two := newBody("1"), newBody("2")
	req, body, err := sent(t, "POST /x", gateway.Multipart{{Name: "a", Content: one}, {Name: "b", Content: two}}, gateway.EndpointConfig{})
	if err != nil || req.ContentLength != -1 || req.GetBody != nil || !strings.Contains(body, "\r\n\r\n2\r\n") {
		t.Errorf("%v, %q, %v", req, body, err)
	}
	if one.closed == 0 || two.closed == 0 {
		t.Errorf("closed %d and %d times", one.closed, two.closed)
	}
	one, two = newBody("1"), newBody("2")
	_, _, err = sent(t, "POST /x", gateway.Multipart{{Name: "a", Content: one}, {Name: "b", ContentType: "a\r\nb", Content: two}}, gateway.EndpointConfig{})
	if asError(t, err, gateway.InvalidRequest); one.closed == 0 || two.closed == 0 {
		t.Errorf("closed %d and %d times", one.closed, two.closed)
	}
}

// Whoever writes to a pipe learns that nobody reads.
func TestPipeOfARequestThatFails(t *testing.T) {
	r, w := io.Pipe()
	failing := roundTripper(func(req *http.Request) (*http.Response, error) {
		req.Body.Close()
		return nil, errors.New("no route")
	})
	g := mustNew(t, gateway.Config{Transport: failing})
	_, err := gateway.NewEndpoint[io.Reader, gateway.None](g, "POST /x", gateway.EndpointConfig{}).Call(t.Context(), r)
	asError(t, err, gateway.NoResponse)
	if _, err := w.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("writing: %v", err)
	}
}
