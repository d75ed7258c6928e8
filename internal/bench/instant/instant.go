// Package instant has an HTTP transport that answers at once, so that what is
// measured above it is the cost of the layers above it.
package instant

import (
	"io"
	"net/http"
)

// Transport answers every request with 200 and a body of 64 bytes, after reading
// the request's body to its end. It allocates once a request.
type Transport struct{}

var header = http.Header{
	"Content-Type":   {"text/plain"},
	"Content-Length": {"64"},
	"Date":           {"Thu, 01 Jan 2026 00:00:00 GMT"},
}

type answer struct {
	resp http.Response
	left int
}

// RoundTrip implements [http.RoundTripper]. All responses share one header, which
// must not be changed.
func (Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, err := io.Copy(io.Discard, req.Body)
		req.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	a := &answer{left: 64}
	a.resp = http.Response{
		Status:        "200 OK",
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          a,
		ContentLength: 64,
		Request:       req,
	}
	return &a.resp, nil
}

// Read and Close are those of the response's body.
func (a *answer) Read(p []byte) (int, error) {
	n := min(len(p), a.left)
	if a.left -= n; a.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (a *answer) Close() error { return nil }

// Outage is a [Transport] that fails at first. It is for checks before a
// measurement, one request at a time.
type Outage struct {
	Failures int // answers that are 503, before all others
	Requests int // requests so far
}

// RoundTrip implements [http.RoundTripper].
func (o *Outage) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := Transport{}.RoundTrip(req)
	if o.Requests++; err == nil && o.Requests <= o.Failures {
		resp.Status, resp.StatusCode = "503 Service Unavailable", http.StatusServiceUnavailable
	}
	return resp, err
}
