package recipes

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// StreamEnds is an http.RoundTripper for below a breaker.Transport or a
// loadbalance.Transport. gRPC-web and connect streams answer 200 and say in the last
// frame of the body how the call went, where a Transport cannot see it. StreamEnds reads
// along, and lets a body whose last frame blames the server end in a *StreamError in
// place of io.EOF. The client has read the frame by then.
type StreamEnds struct{ Base http.RoundTripper }

// A StreamError is the end of a stream that failed.
type StreamError struct{ Code string }

func (e *StreamError) Error() string { return fmt.Sprintf("the stream ended with the code %s", e.Code) }

// blaming are the codes that speak of the server, in both spellings.
var blaming = []string{"unknown", "deadline_exceeded", "internal", "unavailable", "data_loss", "2", "4", "13", "14", "15"}

// RoundTrip implements http.RoundTripper.
func (s *StreamEnds) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.Base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch kind := resp.Header.Get("Content-Type"); {
	case strings.HasPrefix(kind, "application/grpc-web"):
		resp.Body = &stream{ReadCloser: resp.Body, last: 0x80, code: webCode}
	case strings.HasPrefix(kind, "application/connect+"):
		resp.Body = &stream{ReadCloser: resp.Body, last: 0x02, code: connectCode}
	}
	return resp, nil
}

// stream follows the frames of a body: a byte of flags, four of length, and as many of
// content.
type stream struct {
	io.ReadCloser
	last byte // the flag of the last frame
	code func(content []byte) string

	head    []byte // of the next frame, as far as it has come
	flags   byte   // of the frame that is being read
	left    uint32 // of its content
	content []byte // of the last frame
}

const maxContent = 64 << 10 // what is beyond it is not looked at

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.follow(p[:n])
	if err == io.EOF && s.left == 0 && s.content != nil {
		if code := s.code(s.plain()); slices.Contains(blaming, code) {
			err = &StreamError{code}
		}
	}
	return n, err
}

func (s *stream) follow(p []byte) {
	for len(p) > 0 {
		if s.left == 0 {
			n := min(5-len(s.head), len(p))
			if s.head, p = append(s.head, p[:n]...), p[n:]; len(s.head) == 5 {
				s.flags, s.left, s.head = s.head[0], binary.BigEndian.Uint32(s.head[1:]), s.head[:0]
			}
			continue
		}
		n := len(p)
		if uint64(n) > uint64(s.left) {
			n = int(s.left)
		}
		if s.flags&s.last != 0 {
			s.content = append(s.content, p[:min(n, maxContent-len(s.content))]...)
		}
		s.left, p = s.left-uint32(n), p[n:]
	}
}

// plain returns the content of the last frame, whose first flag says that it is
// compressed.
func (s *stream) plain() []byte {
	if s.flags&1 == 0 {
		return s.content
	}
	z, err := gzip.NewReader(bytes.NewReader(s.content))
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(io.LimitReader(z, maxContent))
	return plain
}

// webCode reads trailers: "grpc-status: 14", one a line.
func webCode(content []byte) string {
	for line := range strings.Lines(string(content)) {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "grpc-status") {
			return textproto.TrimString(value)
		}
	}
	return ""
}

// connectCode reads {"error": {"code": "unavailable"}}.
func connectCode(content []byte) string {
	var end struct{ Error struct{ Code string } }
	json.Unmarshal(content, &end)
	return end.Error.Code
}
