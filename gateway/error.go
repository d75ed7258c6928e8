package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// Sentinels: the first two say why [Pages] stopped before the last page.
var (
	// ErrPageLimit says that there are more pages than the limit allows.
	ErrPageLimit = errors.New("gateway: more pages than the limit")
	// ErrPageCycle says that the pages lead back to an earlier one.
	ErrPageCycle = errors.New("gateway: the pages go in a circle")

	// ErrAborted is found by [errors.Is] in the error of [Flight.Join] if the shared
	// function panicked or called [runtime.Goexit], and if a function joins its own key
	// and would wait for itself.
	ErrAborted = errors.New("gateway: the shared call did not return")
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
	// Unsuccessful: the status is 2xx, and the CheckResponse of the value returned an
	// error.
	Unsuccessful
)

var errorKinds = [...]string{
	InvalidRequest: "invalid request", NoCredentials: "no credentials", Refused: "refused", NoResponse: "no response",
	BadStatus: "bad status", BadRedirect: "bad redirect", WrongContentType: "wrong content type",
	TooLarge: "response too large", Incomplete: "incomplete response", Undecodable: "undecodable response",
	Unsuccessful: "unsuccessful",
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
	// first 64 KiB. Body is set if Kind is BadStatus, WrongContentType or Unsuccessful.
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`

	// Message is what the server says in Body, in one line of at most 256 bytes: title
	// and detail of a problem, a member of other JSON such as "message" or "error", or
	// the first line of plain text. "": nothing of the kind.
	Message string

	// Problem is the body if that is an application/problem+json, or else nil.
	Problem *Problem `json:"-"`

	// Err is the cause, nil if the response itself is the cause.
	Err error `json:"-"`

	text       string        // more for Error: how a body of a wrong type begins
	after      time.Duration // what Config.RetryAfter says; > 0: the request was limited
	repeatable bool          // by its method, or by the caller's idempotency key
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
	} else if e.Message != "" {
		s += fmt.Sprintf(": %q", e.Message)
	}
	return s + e.text
}

func (e *Error) status() string {
	return strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status)))
}

// GoString returns what Error does.
func (e *Error) GoString() string { return e.Error() }

// LogValue implements [slog.LogValuer]. It shows no header, no more of the body than
// Error does, and only what applies.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind.String())}
	if e.Name != "" {
		attrs = append(attrs, slog.String("name", e.Name))
	}
	attrs = append(attrs, slog.String("endpoint", e.Endpoint), slog.Bool("sent", e.Sent))
	if e.Status != 0 {
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	if e.Message != "" {
		attrs = append(attrs, slog.String("message", e.Message))
	}
	if d := e.RetryAfter(); d > 0 {
		attrs = append(attrs, slog.Duration("retry_after", d))
	}
	return slog.GroupValue(append(attrs, slog.String("error", e.Error()))...)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// HTTPStatusCode returns Status.
func (e *Error) HTTPStatusCode() int { return e.Status }

// Rejected reports whether this process refused the request and sent nothing: the
// gateway, because it is invalid, or a layer below.
func (e *Error) Rejected() bool {
	return !e.Sent && (e.Kind == InvalidRequest || e.Kind == Refused || e.Kind == NoCredentials && rejected(e.Err))
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
// request that was refused, and a response that is unsuccessful, are retryable only if
// Err says so. A response that Config.RetryAfter takes for that of a limit is.
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
		return e.after > 0
	case NoCredentials, Refused, NoResponse, Incomplete, Unsuccessful:
		r, ok := errors.AsType[interface {
			error
			Retryable() bool
		}](e.Err)
		if !ok {
			return e.after > 0 || e.Kind != Unsuccessful && !e.Rejected()
		}
		return r.Retryable()
	}
	return false
}

// RetryAfter returns how long the response asks to wait: what Config.RetryAfter found,
// or else the field Retry-After, or else what Err says. 0: no hint.
func (e *Error) RetryAfter() time.Duration {
	if e.after > 0 {
		return e.after
	}
	if d := httpfield.RetryAfter(e.Header); d > 0 {
		return d
	}
	r, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](e.Err)
	if !ok {
		return 0
	}
	return max(0, r.RetryAfter())
}

// Timeout reports whether a deadline was the reason.
func (e *Error) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}

// ErrorAs decodes the body of the [*Error] in err into a T, the form in which the
// external system describes its errors. ok is false if there is no such error, its
// body is not JSON by its content type, or it does not fit T.
func ErrorAs[T any](err error) (v T, ok bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok || len(e.Body) == 0 {
		return v, false
	}
	if !isJSON(mediaType(e.Header.Get("Content-Type"))) {
		return v, false
	}
	if json.Unmarshal(e.Body, &v) != nil {
		var zero T
		return zero, false
	}
	return v, true
}
