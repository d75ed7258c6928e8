package breaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Config describes a [Breaker]. The zero value is a good one.
type Config struct {
	// Name appears in errors.
	Name string

	// Window is the time over which calls are counted, in ten steps.
	// 0 means 10 seconds.
	Window time.Duration
	// MinCalls is the number of calls in the window below which FailureRate does
	// not count. 0 means 20.
	MinCalls int
	// FailureRate, in (0, 1], is the share of failed calls that opens the breaker.
	// 0 means 0.5; negative: off.
	FailureRate float64
	// Consecutive is the number of failures in a row that opens the breaker, so
	// that a backend that goes down as a whole need not wait until it fills half
	// of the window. 0 means 20; negative: off.
	Consecutive int

	// OpenFor is how long the breaker stays open at first, less a random part of
	// up to a fifth, so that a fleet does not probe in step. 0 means 5 seconds.
	OpenFor time.Duration
	// MaxOpenFor bounds the doubling of OpenFor, and how far a Retry-After can
	// lengthen it. 0 means 1 minute, or OpenFor if that is longer.
	MaxOpenFor time.Duration

	// Probes is the number of calls that a half-open breaker lets through.
	// 0 means 3.
	Probes int
	// ProbesNeeded is how many of them must succeed. 0 means two thirds of Probes,
	// rounded up.
	ProbesNeeded int
	// ProbeLease is how long a probe may take before another may start in its
	// place. 0 means 30 seconds.
	ProbeLease time.Duration
	// RampUp is the time after closing in which the share of calls admitted grows
	// from a tenth to all. 0 means 5 seconds; negative: all at once.
	RampUp time.Duration

	// Classify gives the outcome of an operation that returned err, which may be
	// nil; ctx is the caller's. nil means the rules in the package documentation.
	// Transport has a Classify of its own for responses.
	Classify func(ctx context.Context, err error) Outcome `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"Window", c.Window}, {"OpenFor", c.OpenFor}, {"MaxOpenFor", c.MaxOpenFor}, {"ProbeLease", c.ProbeLease}} {
		if f.d < 0 {
			errs = append(errs, fmt.Errorf("breaker: Config.%s is %v, want more than 0, or 0 for the default", f.name, f.d))
		}
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"MinCalls", c.MinCalls}, {"Probes", c.Probes}, {"ProbesNeeded", c.ProbesNeeded}} {
		if f.n < 0 {
			errs = append(errs, fmt.Errorf("breaker: Config.%s is %d, want 1 or more, or 0 for the default", f.name, f.n))
		}
	}
	if math.IsNaN(c.FailureRate) || c.FailureRate > 1 {
		errs = append(errs, fmt.Errorf("breaker: Config.FailureRate is %v, want at most 1", c.FailureRate))
	}
	if d := c.withDefaults(); d.OpenFor > d.MaxOpenFor {
		errs = append(errs, fmt.Errorf("breaker: Config.OpenFor is %v, longer than MaxOpenFor, %v", d.OpenFor, d.MaxOpenFor))
	}
	if d := c.withDefaults(); d.ProbesNeeded > d.Probes {
		errs = append(errs, fmt.Errorf("breaker: Config.ProbesNeeded is %d, more than Probes, %d", d.ProbesNeeded, d.Probes))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Window = cmp.Or(c.Window, 10*time.Second)
	c.MinCalls = cmp.Or(c.MinCalls, 20)
	c.FailureRate = cmp.Or(c.FailureRate, 0.5)
	c.Consecutive = cmp.Or(c.Consecutive, 20)
	c.OpenFor = cmp.Or(c.OpenFor, 5*time.Second)
	c.MaxOpenFor = cmp.Or(c.MaxOpenFor, max(time.Minute, c.OpenFor))
	c.Probes = cmp.Or(c.Probes, 3)
	c.ProbesNeeded = cmp.Or(c.ProbesNeeded, (2*c.Probes+2)/3)
	c.ProbeLease = cmp.Or(c.ProbeLease, 30*time.Second)
	c.RampUp = cmp.Or(c.RampUp, 5*time.Second)
	if c.Classify == nil {
		c.Classify = classify
	}
	return c
}

// classify is the default of Config.Classify.
func classify(ctx context.Context, err error) Outcome {
	if err == nil {
		return Success
	}
	// Drivers turn a cancelled context into errors of their own: look at both.
	if ctx.Err() == context.Canceled || errors.Is(err, context.Canceled) {
		return Ignored
	}
	if r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err); ok && r.Rejected() {
		return Ignored
	}
	return Failure
}
