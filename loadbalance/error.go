package loadbalance

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// Errors found by [errors.Is] in what a Balancer refuses.
var (
	// ErrNoEndpoints: there is no set of endpoints yet, or all of it is excluded.
	ErrNoEndpoints = errors.New("no endpoints")
	// ErrOverloaded: every endpoint has Config.MaxInFlight calls in flight.
	ErrOverloaded = errors.New("all endpoints are at their limit")
	// ErrClosed: the Balancer is closed.
	ErrClosed = errors.New("closed")
)

// Errors in a set of endpoints, which is then ignored. The error that wraps them names
// the endpoint.
var (
	ErrDuplicateKey = errors.New("loadbalance: two endpoints have the same key")
	ErrBadWeight    = errors.New("loadbalance: the weight of an endpoint is not a number, or not one from above 0 to 3.4e38")
)

const notMade = "a Balancer that was not made by New"

var errNotMade = errors.New(notMade)

// Error is a refusal: no endpoint was picked, and nothing was sent.
type Error struct {
	Name string // Config.Name
	// Err is ErrNoEndpoints, ErrOverloaded, ErrClosed, or the error of the context,
	// which had ended before an endpoint was picked.
	Err   error
	Cause error // why, if there is more to say: the source's error, or the context's cause
}

func (e *Error) Error() string {
	if e.Err == nil { // it was not made here
		return prefix(e.Name)
	}
	parts := []string{prefix(e.Name), e.Err.Error()}
	if e.Cause != nil && e.Cause.Error() != parts[1] {
		parts = append(parts, e.Cause.Error())
	}
	return strings.Join(parts, ": ")
}

// prefix begins the text of an error.
func prefix(name string) string {
	if name == "" {
		return "loadbalance"
	}
	return "loadbalance " + name
}

// Unwrap returns Err, and Cause if there is one.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return nil
	}
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Rejected reports true: this process refused the call and sent nothing.
func (e *Error) Rejected() bool { return true }

// Timeout reports whether the context's deadline passed before an endpoint was picked.
func (e *Error) Timeout() bool { return errors.Is(e, context.DeadlineExceeded) }

// elsewhere is a refusal that came from below one endpoint, such as that of its own
// limit, while others are left: the next attempt would differ.
type elsewhere struct{ error }

func (e elsewhere) Unwrap() error   { return e.error }
func (e elsewhere) Rejected() bool  { return true }
func (e elsewhere) Retryable() bool { return true }

// RetryAfter says that there is nothing to wait for: what the refusal itself says about
// that, which is looked at otherwise, is about its endpoint.
func (e elsewhere) RetryAfter() time.Duration { return time.Nanosecond }

// other returns the error of a call to a node, as elsewhere if it is a refusal and there
// are healthy endpoints to which no attempt of the call has gone yet.
func (c *core) other(ctx context.Context, n *node, exclude []string, err error) error {
	if err == nil || !rejected(err) || ctx.Err() != nil {
		return err
	}
	s := c.current.Load()
	var left population
	if left.reset(len(s.nodes), true); s.up != nil {
		left.copy(s.up)
	}
	visited, _ := ctx.Value(spreadKey{}).(*visits)
	for _, tried := range visited.of(c, []*node{n}) {
		exclude = append(exclude[:len(exclude):len(exclude)], tried.name)
	}
	for _, key := range exclude {
		if i, ok := s.index[key]; ok {
			left.remove(i)
		}
	}
	if left.count == 0 {
		return err
	}
	return elsewhere{err}
}

// LogValue implements [slog.LogValuer]: the fields that are set.
func (e *Error) LogValue() slog.Value {
	attrs := named(e.Name)
	attrs = append(attrs, slog.String("err", e.Err.Error()))
	if e.Cause != nil {
		attrs = append(attrs, slog.String("cause", e.Cause.Error()))
	}
	return slog.GroupValue(attrs...)
}

// named begins the attributes of what has a name.
func named(name string) []slog.Attr {
	if name == "" {
		return nil
	}
	return []slog.Attr{slog.String("name", name)}
}
