package retry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
)

// repeatable reports whether req could be sent a second time at all.
func repeatable(req *http.Request) bool {
	return (req.Body == nil || req.Body == http.NoBody || req.GetBody != nil) &&
		req.Method != http.MethodConnect && req.Header.Get("Upgrade") == "" &&
		sendable(req)
}

// sendable reports whether req is one that net/http would send; it has no error
// values for those that it does not.
func sendable(req *http.Request) bool {
	if req.URL == nil || req.URL.Host == "" || req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return false
	}
	for i := range len(req.Method) {
		if !tokenByte(req.Method[i]) {
			return false
		}
	}
	for name, values := range req.Header {
		if name == "" {
			return false
		}
		for i := range len(name) {
			if !tokenByte(name[i]) {
				return false
			}
		}
		for _, v := range values {
			for i := range len(v) {
				if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
					return false
				}
			}
		}
	}
	return true
}

// tokenByte reports whether b may stand in a token (RFC 9110, section 5.6.2).
func tokenByte(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace,
		http.MethodPut, http.MethodDelete:
		return true
	}
	return req.Header.Get("Idempotency-Key") != "" || req.Header.Get("X-Idempotency-Key") != ""
}

func retryStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// neverSent reports whether err shows that the server has not looked at the
// request: there was no connection to send on, or HTTP/2 says so (RFC 9113,
// sections 6.8 and 8.7).
func neverSent(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	if s, ok := errors.AsType[streamError](err); ok {
		return s.Code == refusedStream
	}
	// Of a connection that the server has closed, net/http has no more than text
	// to say that the request was not among those it had begun. (Where it
	// says "server sent GOAWAY and closed the connection", it was.)
	text := err.Error()
	return strings.Contains(text, "http2: Transport received GOAWAY from server") ||
		strings.Contains(text, "http2: Transport received Server's graceful shutdown GOAWAY")
}

// streamError is what the errors of net/http's HTTP/2 streams convert to; the
// names and types of the fields must be theirs.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

const refusedStream = 7

func (streamError) Error() string { return "stream error" }

// hopeless reports whether err would only come again.
func hopeless(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok
}
