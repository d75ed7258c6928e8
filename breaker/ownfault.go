package breaker

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/belay-go/belay/internal/httpbody"
)

// ownFault reports whether err is nobody's, or the fault of the caller: a cancel, a
// refusal, or a body that could not be read.
func (x *exchange) ownFault(err error) bool {
	return nobodys(x.req.Context(), err) || x.upload != nil && x.upload.broken.Load() || cancelled(x.req)
}

// cancelled reports whether req was cancelled in the way of old. http.Client does
// so too when its Timeout has passed, which is the deadline of the context.
func cancelled(req *http.Request) bool {
	select {
	case <-req.Cancel: //lint:ignore SA1019 there are callers who use it
		return !httpbody.OutOfTime(req.Context())
	default:
		return false
	}
}

// watched returns the request to send, in which a body that can fail by itself is
// watched. One with GetBody is in memory, mostly, and a file is left to sendfile:
// net/http recognizes both.
func (x *exchange) watched() *http.Request {
	if x.req.Body == nil || x.req.Body == http.NoBody || x.req.GetBody != nil {
		return x.req
	}
	if _, ok := x.req.Body.(*os.File); ok {
		return x.req
	}
	x.upload = &upload{ReadCloser: x.req.Body, length: x.req.ContentLength}
	sent := x.req.WithContext(x.req.Context()) // a copy
	sent.Body = x.upload
	return sent
}

// An upload is the body of a request. It is broken if it cannot be read, or is not as
// long as the request says.
type upload struct {
	io.ReadCloser
	length, read int64
	closed       atomic.Bool
	broken       atomic.Bool
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.read += int64(n)
	failed := err != nil && err != io.EOF
	short := err == io.EOF && u.read < u.length
	long := u.length > 0 && u.read > u.length
	if (failed || short || long) && !u.closed.Load() {
		u.broken.Store(true)
	}
	return n, err
}

// Close ends the watch: what a read returns after it is not the reader's fault.
func (u *upload) Close() error {
	u.closed.Store(true)
	return u.ReadCloser.Close()
}

// malformed reports whether req has a method or field that net/http does not send. It
// has no error values for that, so this is asked when it has failed.
func malformed(req *http.Request) bool {
	if req.URL == nil || req.Header == nil || strings.ContainsFunc(req.Method, notToken) {
		return true
	}
	for _, fields := range []http.Header{req.Header, req.Trailer} {
		for name, values := range fields {
			if name == "" || strings.ContainsFunc(name, notToken) {
				return true
			}
			for _, v := range values {
				if strings.ContainsFunc(v, isControl) {
					return true
				}
			}
		}
	}
	return false
}

// notToken reports whether c cannot stand in a token (RFC 9110, section 5.6.2).
func notToken(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
