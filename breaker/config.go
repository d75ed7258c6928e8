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
	// MinCalls is the number of calls in the window below which FailureRate and
	// SlowRate do not count. 0 means 20.
	MinCalls int
	// FailureRate, in (0, 1], is the share of bad calls that opens the breaker.
	// 0 means 0.5; negative: off.
	FailureRate float64
	// Slow is how long a call may take; one that takes longer is bad, whatever its
	// outcome. 0 or less: no call is slow.
	Slow time.Duration
	// SlowRate, in (0, 1], is the share of slow calls that opens the breaker, for
	// those who bear fewer slow calls than failed ones. 0 or less: off.
	SlowRate float64
	// CountInFlight counts calls as slow while they still run, from Slow to a
	// quarter longer on, so that a backend that answers nothing opens the breaker
	// before its calls time out.
	CountInFlight bool
	// Consecutive is the number of bad calls in a row that opens the breaker, so
	// that a backend that goes down as a whole need not wait until it fills half
	// of the window. 0 means 20; negative: off.
	Consecutive int
	// AllFailed is the number of calls in the window that opens the breaker when
	// all of them were bad, for those who make few calls. 0 means 5; negative: off.
	AllFailed int

	// OpenFor is how long the breaker stays open at first, less a random part of
	// up to a fifth, so that a fleet does not probe in step. 0 means 5 seconds.
	OpenFor time.Duration
	// MaxOpenFor bounds the doubling of OpenFor, and how far a Retry-After can
	// lengthen it. 0 means 20 seconds, or OpenFor if that is longer: as few calls probe,
	// longer waits save little, and a backend that is back is left alone for longer.
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

	// Observe is told each change of state, in their order, and each refusal, with
	// the context of the call that caused it (the background's for Allow, Done, and
	// a timer). It is called while no lock is held, and may use the breaker.
	Observe func(context.Context, Event) `json:"-"`
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
	for _, f := range []struct {
		name string
		rate float64
	}{{"FailureRate", c.FailureRate}, {"SlowRate", c.SlowRate}} {
		if math.IsNaN(f.rate) || f.rate > 1 {
			errs = append(errs, fmt.Errorf("breaker: Config.%s is %v, want at most 1", f.name, f.rate))
		}
	}
	if c.Slow <= 0 && (c.SlowRate > 0 || c.CountInFlight) {
		errs = append(errs, errors.New("breaker: Config.Slow is not set, which SlowRate and CountInFlight need"))
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
	c.AllFailed = cmp.Or(c.AllFailed, 5)
	c.OpenFor = cmp.Or(c.OpenFor, 5*time.Second)
	c.MaxOpenFor = cmp.Or(c.MaxOpenFor, max(20*time.Second, c.OpenFor))
	c.Probes = cmp.Or(c.Probes, 3)
	c.ProbesNeeded = cmp.Or(c.ProbesNeeded, (2*c.Probes+2)/3)
	c.ProbeLease = cmp.Or(c.ProbeLease, 30*time.Second)
	c.RampUp = cmp.Or(c.RampUp, 5*time.Second)
	return c
}

func (c *Config) classify(ctx context.Context, err error) Outcome {
	if c.Classify != nil {
		return c.Classify(ctx, err)
	}
	return classify(ctx, err)
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
