package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// body is what a request carries.
type body struct {
	reader      io.ReadCloser // nil: there is none
	length      int64         // 0 or less: not known
	again       func() (io.ReadCloser, error)
	contentType string
	foreign     bool // it is read from a reader of the caller's, which can hang
}

func bytesBody(text []byte, contentType string) body {
	b := body{reader: http.NoBody, contentType: contentType, again: func() (io.ReadCloser, error) { return http.NoBody, nil }}
	if len(text) > 0 {
		b.length = int64(len(text))
		b.again = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
		b.reader, _ = b.again()
	}
	return b
}

// readerBody sends r. If r can be read at any offset, it can be sent several times and
// is left open. Otherwise it is closed like any body of a request.
func readerBody(r io.Reader, contentType string) body {
	if r == http.NoBody {
		return bytesBody(nil, contentType)
	}
	if buf, ok := r.(*bytes.Buffer); ok {
		return bytesBody(buf.Bytes(), contentType)
	}
	if l, ok := r.(interface{ Len() int }); ok && l.Len() == 0 {
		return bytesBody(nil, contentType)
	}
	// Some files only seem to be empty, such as those in /proc.
	if at, n, ok := section(r); ok && n > 0 {
		again := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(at, at.begin, n)), nil }
		b := body{length: n, again: again, contentType: contentType, foreign: !inMemory(r)}
		b.reader, _ = again()
		return b
	}
	rc, ok := r.(io.ReadCloser)
	if !ok {
		rc = io.NopCloser(r)
	}
	return body{reader: rc, length: -1, contentType: contentType, foreign: true}
}

func inMemory(r io.Reader) bool {
	switch r.(type) {
	case *bytes.Reader, *strings.Reader:
		return true
	}
	return false
}

// sectionAt is a reader that can be read at any offset, and its present one.
type sectionAt struct {
	io.ReaderAt
	begin int64
}

// section returns the unread part of r, and its length.
func section(r io.Reader) (at sectionAt, n int64, ok bool) {
	at.ReaderAt, ok = r.(io.ReaderAt)
	s, seeks := r.(io.Seeker)
	if !ok || !seeks {
		return at, 0, false
	}
	var err error
	if at.begin, err = s.Seek(0, io.SeekCurrent); err != nil {
		return at, 0, false // a pipe
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return at, 0, false
	}
	if _, err = s.Seek(at.begin, io.SeekStart); err != nil {
		return at, 0, false
	}
	return at, max(0, end-at.begin), true
}
