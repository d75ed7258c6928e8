package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// An ErrorKind says what went wrong with a call.
type ErrorKind uint8

const (
	// InvalidRequest: the value of Req cannot be made a request.
	InvalidRequest ErrorKind = iota
	// NoCredentials: Auth returned an error.
	NoCredentials
	// NoResponse: Config.Transport returned an error. The system was out of reach, the
	// time was up, or a layer below has refused the request.
	NoResponse
	// BadStatus: the status is not one of success.
	BadStatus
	// BadRedirect: it redirects to where CheckRedirect does not allow.
	BadRedirect
	// WrongContentType: success, but of a content type that the endpoint does not
	// expect.
	WrongContentType
	// TooLarge: success, but with more than MaxResponseBytes.
	TooLarge
	// Incomplete: success, but the body broke off.
	Incomplete
	// Undecodable: success, but the body cannot be decoded.
	Undecodable
)

func (k ErrorKind) String() string {
	if k > Undecodable {
		return fmt.Sprintf("ErrorKind(%d)", uint8(k))
	}
	return [...]string{
		"invalid request", "no credentials", "no response", "bad status", "bad redirect",
		"wrong content type", "response too large", "incomplete response", "undecodable response",
	}[k]
}

// Error is the failure of a call. The methods Rejected, Retryable, RetryAfter,
// Timeout and HTTPStatusCode are for the layers above. The credentials of the
// request are in no part of it, even if the server has sent them back.
type Error struct {
	Kind     ErrorKind // what went wrong
	Endpoint string    // its name
	Sent     bool      // false only if it is certain that the system has not got the request
	Status   int       // of the response; 0: there was none

	// Header and Body are those of the response, without cookies, and at most the
	// first 64 KiB. There is a Body if Kind is BadStatus or WrongContentType.
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`

	// Problem is what an application/problem+json says; nil: the body is none.
	Problem *Problem `json:"-"`

	// Err is what is behind it, nil where the response says it all.
	Err error `json:"-"`

	text       string // more for Error: a problem's title, or how the body begins
	repeatable bool   // by its method, or by the caller's idempotency key
}

func (e *Error) Error() string {
	s := "gateway: " + e.Endpoint + ": " + e.Kind.String()
	if e.Status != 0 {
		s += fmt.Sprintf(", status %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + e.text
}

// GoString returns what Error does.
func (e *Error) GoString() string { return e.Error() }

// LogValue implements [slog.LogValuer]: no header, and nothing of the body but what
// the text of the error says.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("endpoint", e.Endpoint), slog.String("kind", e.Kind.String()),
		slog.Int("status", e.Status), slog.Bool("sent", e.Sent), slog.String("error", e.Error()))
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// HTTPStatusCode returns Status.
func (e *Error) HTTPStatusCode() int { return e.Status }

// Rejected reports whether this process refused the request: the gateway, since it
// is invalid, or a layer below.
func (e *Error) Rejected() bool {
	return e.Kind == InvalidRequest || e.Kind == NoResponse && rejected(e.Err)
}

func rejected(err error) bool {
	r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err)
	return ok && r.Rejected()
}

// Retryable reports whether another call may help and does no harm: the request has
// not been sent, its method is idempotent, or the caller gave it an idempotency key.
func (e *Error) Retryable() bool {
	if e.Sent && !e.repeatable {
		return false
	}
	switch e.Kind {
	case BadStatus:
		switch e.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	case NoCredentials, NoResponse, Incomplete:
		r, ok := errors.AsType[interface {
			error
			Retryable() bool
		}](e.Err)
		return !ok || r.Retryable()
	}
	return false
}

// RetryAfter returns what the response asks for in its field Retry-After, or 0.
func (e *Error) RetryAfter() time.Duration { return httpfield.RetryAfter(e.Header) }

// Timeout reports whether a deadline was the reason.
func (e *Error) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}

// fail returns the Error of a call. resp is nil if there was none.
func (c *call) fail(kind ErrorKind, resp *http.Response, err error) *Error {
	e := &Error{
		Kind: kind, Endpoint: c.endpoint.name, Err: c.withoutURL(err),
		Sent: c.sent != nil && kind != NoCredentials && !(kind == NoResponse && unsent(err)),
	}
	_, keyed := c.Value(idempotencyKey{}).(string)
	e.repeatable = c.endpoint.idempotent || keyed && c.endpoint.idempotencyKey
	if resp != nil {
		e.Status, e.Header = resp.StatusCode, c.publicHeader(resp.Header)
	}
	switch kind {
	case Undecodable:
		e.Err = c.scrubError(e.Err)
	case BadRedirect:
		if location := e.Header["Location"]; len(location) > 0 {
			e.Header["Location"] = []string{withoutQuery(location[0])}
		}
	}
	return e
}

// unsent reports whether err shows that the request was not sent.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "dial" || op.Op == "proxyconnect") || rejected(err)
}
