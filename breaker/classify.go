package breaker

import (
	"context"
	"errors"
	"fmt"
)

// Outcome is what a call came to, as far as the breaker is concerned.
type Outcome uint8

const (
	// Default leaves the answer to the rules. It is what a Classify returns for all
	// that it knows nothing about. As the outcome of a call it is the same as Ignored.
	Default Outcome = iota
	// Success says that the backend did its work.
	Success
	// Failure says that it did not.
	Failure
	// Ignored says nothing about the backend.
	Ignored
)

func (o Outcome) String() string {
	if o > Ignored {
		return fmt.Sprintf("Outcome(%d)", uint8(o))
	}
	return [...]string{"default", "success", "failure", "ignored"}[o]
}

// Outcome returns what [Do] would make of an operation that returned err, which may
// be nil: the answer of Config.Classify or, if that is Default, of the rules. It is
// never Default. ctx is the context of the call.
func (b *Breaker) Outcome(ctx context.Context, err error) Outcome {
	return b.cfg.outcome(ctx, err)
}

func (c *Config) outcome(ctx context.Context, err error) Outcome {
	if nobodys(ctx, err) {
		return Ignored
	}
	if o := c.classified(ctx, err); o != Default {
		return o
	}
	switch {
	case err == nil:
		return Success
	case ctx.Err() == nil && errors.Is(err, context.Canceled) && !timedOut(err):
		return Ignored // a context below has been cancelled: the loser of a hedge
	}
	return Failure
}

func (c *Config) classified(ctx context.Context, err error) Outcome {
	if c.Classify == nil {
		return Default
	}
	return c.Classify(ctx, err)
}

// nobodys reports whether err is nobody's failure, so that no Classify is asked: it
// is a refusal, or the caller has cancelled. The context is asked before the error,
// which a driver may have turned into one of its own; its cause tells a cancel
// from a deadline that some layer has set by way of a cancel.
func nobodys(ctx context.Context, err error) bool {
	if err == nil {
		return false
	}
	if r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err); ok && r.Rejected() {
		return true
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	return !timedOut(context.Cause(ctx))
}

func timedOut(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}
