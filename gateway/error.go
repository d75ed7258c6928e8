package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// An ErrorKind says what went wrong with a call. The zero value is no kind.
type ErrorKind uint8

const (
	// InvalidRequest: the value of Req cannot be sent as a request.
	InvalidRequest ErrorKind = iota + 1
	// NoCredentials: Auth returned an error.
	NoCredentials
	// Refused: a layer below the Gateway refused the request and sent nothing.
	Refused
	// NoResponse: Config.Transport returned an error. The system could not be
	// reached, broke the connection, or did not answer in time.
	NoResponse
	// BadStatus: the status is not 2xx.
	BadStatus
	// BadRedirect: the response redirects to where CheckRedirect does not allow.
	BadRedirect
	// WrongContentType: the status is 2xx, and the endpoint expects another content
	// type.
	WrongContentType
	// TooLarge: the status is 2xx, and the body is larger than MaxResponseBytes.
	TooLarge
	// Incomplete: the status is 2xx, and the body broke off.
	Incomplete
	// Undecodable: the status is 2xx, and the body cannot be decoded.
	Undecodable
)

var errorKinds = [...]string{
	InvalidRequest: "invalid request", NoCredentials: "no credentials", Refused: "refused", NoResponse: "no response",
	BadStatus: "bad status", BadRedirect: "bad redirect", WrongContentType: "wrong content type",
	TooLarge: "response too large", Incomplete: "incomplete response", Undecodable: "undecodable response",
}

func (k ErrorKind) String() string {
	if k == 0 || int(k) >= len(errorKinds) {
		return fmt.Sprintf("ErrorKind(%d)", uint8(k))
	}
	return errorKinds[k]
}

// MarshalText implements [encoding.TextMarshaler].
func (k ErrorKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Error is the failure of a call. The methods Rejected, Retryable, RetryAfter,
// Timeout and HTTPStatusCode are for the layers above. No field contains the
// credentials of the request, even if the server sent them back.
type Error struct {
	Kind     ErrorKind // what went wrong
	Name     string    // Config.Name
	Endpoint string    // the endpoint's name
	Sent     bool      // false only if it is certain that the system did not get the request
	Status   int       // of the response; 0: there was none

	// Header and Body are those of the response, without cookies, and at most the
	// first 64 KiB. Body is set if Kind is BadStatus or WrongContentType.
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`

	// Problem is the body if that is an application/problem+json, or else nil.
	Problem *Problem `json:"-"`

	// Err is the cause, nil if the response itself is the cause.
	Err error `json:"-"`

	text       string // more for Error: a problem's title, or how the body begins
	repeatable bool   // by its method, or by the caller's idempotency key
}

func (e *Error) Error() string {
	s := "gateway: "
	if e.Name != "" {
		s = fmt.Sprintf("gateway %q: ", e.Name)
	}
	s += e.Endpoint + ": "
	switch {
	case e.Status == 0:
		s += e.Kind.String()
	case e.Kind == BadStatus:
		s += e.status()
	default:
		s += e.Kind.String() + ", " + e.status()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + e.text
}

func (e *Error) status() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status)))
}

// GoString returns what Error does.
func (e *Error) GoString() string { return e.Error() }

// LogValue implements [slog.LogValuer]. It shows no header, and no more of the body
// than Error does.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind.String())}
	if e.Name != "" {
		attrs = append(attrs, slog.String("name", e.Name))
	}
	attrs = append(attrs, slog.String("endpoint", e.Endpoint), slog.Bool("sent", e.Sent))
	if e.Status != 0 {
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	return slog.GroupValue(append(attrs, slog.String("error", e.Error()))...)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// HTTPStatusCode returns Status.
func (e *Error) HTTPStatusCode() int { return e.Status }

// Rejected reports whether this process refused the request: the gateway, because
// it is invalid, or a layer below.
func (e *Error) Rejected() bool {
	return e.Kind == InvalidRequest || e.Kind == Refused || e.Kind == NoCredentials && rejected(e.Err)
}

// rejected reports whether err says that this process refused something.
func rejected(err error) bool {
	r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err)
	return ok && r.Rejected()
}

// Retryable reports whether another call may help and does no harm: the request was
// not sent, its method is idempotent, or the caller gave it an idempotency key. A
// request that was refused is retryable only if the layer that refused it says so.
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
	case NoCredentials, Refused, NoResponse, Incomplete:
		r, ok := errors.AsType[interface {
			error
			Retryable() bool
		}](e.Err)
		if !ok {
			return !e.Rejected()
		}
		return r.Retryable()
	}
	return false
}

// RetryAfter returns the delay that the response asks for in its field Retry-After,
// or 0.
func (e *Error) RetryAfter() time.Duration { return httpfield.RetryAfter(e.Header) }

// Timeout reports whether a deadline was the reason.
func (e *Error) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}
