package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/belay-go/belay/internal/httpfield"
)

// Outcome is what a call came to, for a limit that learns from it.
type Outcome uint8

const (
	// Default leaves it to the rules that [Permit.Outcome] and [Transport] state.
	Default Outcome = iota
	// Success says that the backend did its work.
	Success
	// Failure says that it did not.
	Failure
	// Overload says that it refused to, since it had too much to do.
	Overload
	// Ignored says nothing about the backend.
	Ignored
)

func (o Outcome) String() string {
	if o > Ignored {
		return fmt.Sprintf("Outcome(%d)", uint8(o))
	}
	return [...]string{"default", "success", "failure", "overload", "ignored"}[o]
}

// byError is the rule for the error of a call.
func byError(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case isNobodys(ctx, err):
		return Ignored
	}
	return Failure
}

// isNobodys reports whether err says nothing about the backend, since the caller has
// cancelled the call or a layer of this process has refused it.
func isNobodys(ctx context.Context, err error) bool {
	if r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err); ok && r.Rejected() {
		return true
	}
	// Drivers turn the end of a context into errors of their own: the context says
	// first what it was. A deadline may have cancelled those derived from it.
	if end := ctx.Err(); end != nil {
		return end != context.DeadlineExceeded && !errors.Is(context.Cause(ctx), context.DeadlineExceeded)
	}
	return errors.Is(err, context.Canceled)
}

// byStatus is the rule for a response.
func byStatus(resp *http.Response) Outcome {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests,
		code == http.StatusServiceUnavailable && httpfield.RetryAfter(resp.Header) > 0:
		return Overload
	case code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		return Failure
	}
	return Success
}

// tellsAtEnd reports whether a response says only at its end how the call went.
func tellsAtEnd(resp *http.Response) bool {
	return len(resp.Trailer) > 0 || strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc")
}
