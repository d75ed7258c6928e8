package retry

import (
	"errors"
	"net"
	"net/http"
	"strings"
)

// idempotent reports whether req says that it may be sent twice. As for net/http, a
// key need not have a value.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace,
		http.MethodPut, http.MethodDelete:
		return true
	}
	_, key := req.Header["Idempotency-Key"]
	_, xKey := req.Header["X-Idempotency-Key"]
	return key || xKey
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

// idleClosed reports whether err says that the server closed a connection on which it
// was waiting for a request. That is no sign of overload. net/http itself goes on to
// the next connection of its pool, but only with methods that it takes for
// idempotent.
func idleClosed(err error) bool {
	return strings.HasSuffix(err.Error(), "http: server closed idle connection")
}
