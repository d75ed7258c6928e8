package loadbalance

import (
	"cmp"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// An upload is the body of a request on its way. It remembers whether it failed by
// itself: what it returns once it is closed is the work of whoever has closed it.
type upload struct {
	io.ReadCloser
	want   int64 // its length, less than 0 if it is not known
	got    int64
	failed atomic.Bool
	closed atomic.Bool
}

// watch reports whether the body of req can fail by itself. One with GetBody is in
// memory, and one that is a file is left to sendfile.
func (u *upload) watch(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		return false
	}
	if _, ok := req.Body.(*os.File); ok {
		return false
	}
	u.ReadCloser, u.want = req.Body, cmp.Or(req.ContentLength, -1) // 0: not known, as net/http has it
	return true
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.got += int64(n)
	switch {
	case err == nil, u.closed.Load():
	case err != io.EOF, u.want >= 0 && u.got != u.want:
		u.failed.Store(true)
	}
	return n, err
}

func (u *upload) Close() error {
	u.closed.Store(true)
	return u.ReadCloser.Close()
}

// unsendable reports whether a request cannot be sent to any server: net/http refuses
// it before it dials. It is asked after an error only.
func unsendable(req *http.Request) bool {
	select {
	case <-req.Cancel: //lint:ignore SA1019 there are callers who use it
		// http.Client closes it, too, when its Timeout has passed.
		if deadline, ok := req.Context().Deadline(); !ok || time.Now().Before(deadline) {
			return true
		}
	default:
	}
	if req.Method != "" && !isToken(req.Method) || req.ContentLength > 0 && req.Body == nil {
		return true
	}
	for _, fields := range []http.Header{req.Header, req.Trailer} {
		for name, values := range fields {
			if !isToken(name) {
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

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alphanumeric := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// isControl reports whether r may not be part of a field's value (RFC 9110, section 5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
