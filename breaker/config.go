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
	// Name appears in errors, events and Stats.
	Name string

	// Window is the time over which calls are counted, in ten steps.
	// 0 means 10 seconds.
	Window time.Duration
	// MinCalls is the number of calls in the window below which FailureRate does
	// not count. 0 means 20.
	MinCalls int
	// FailureRate, in (0, 1], is the share of bad calls in the window that opens the
	// breaker. 0 means 0.5; negative: off.
	FailureRate float64
	// Consecutive is the number of bad calls in a row that opens the breaker, even if
	// other calls of the window were good. A backend that goes down as a whole need
	// not fill half of the window with failures first. 0 means 20; negative: off.
	Consecutive int
	// AllFailed is the number of bad calls in a row that opens the breaker if no call
	// of the window was good. The row may be older than the window: this is for those
	// who make few calls, or whose calls take long to fail. 0 means 5; negative: off.
	AllFailed int

	// Slow is how long a call may take. One that takes longer is bad, whatever its
	// outcome. 0 or less: no call is slow.
	Slow time.Duration
	// CountInFlight counts calls as slow while they still run, from Slow to a
	// quarter longer on, so that a backend that answers nothing opens the breaker
	// before its calls time out.
	CountInFlight bool

	// OpenFor is how long the breaker stays open at first, less a random part of up
	// to a fifth, so that the breakers of many processes do not make their trials at
	// the same time. 0 means 5 seconds.
	OpenFor time.Duration
	// MaxOpenFor bounds the doubling of OpenFor, and how far a Retry-After can
	// lengthen it. 0 means 20 seconds, or OpenFor if that is longer. Longer waits
	// would save little, as there are few trials, and a backend that is back would
	// not be called for longer.
	MaxOpenFor time.Duration

	// Trials is the number of calls that a half-open breaker lets through.
	// 0 means 3.
	Trials int
	// TrialsNeeded is how many of them must succeed. 0 means two thirds of Trials,
	// rounded up.
	TrialsNeeded int
	// TrialLease is how long a trial may take before another may start in its place.
	// What it reports later still counts. 0 means 30 seconds.
	TrialLease time.Duration
	// SlowStart is the time after closing in which the breaker admits only a part of
	// the calls beyond the first ten simultaneous ones. That part grows from a tenth
	// to all of them. 0 means 5 seconds; negative: there is no slow start.
	SlowStart time.Duration

	// Classify gives the outcome of an operation that returned err, which may be nil;
	// ctx is the caller's. What it answers Default to goes by the rules in the package
	// documentation, and nil means that all does. It is not asked about a refusal of
	// this process or a cancel of the caller, which are ignored in any case. Transport
	// has a Classify of its own for responses.
	Classify func(ctx context.Context, err error) Outcome `json:"-"`

	// Observe is told each change of state, in their order, and each refusal, with
	// the context of the call that caused it (the background's for Allow, Done, and
	// a timer). It is called while no lock is held, and may use the breaker. If it
	// panics, the caller gets the panic, after everything has been given back; a panic
	// on the goroutine of a timer is dropped, and counted in Stats.
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"Window", c.Window}, {"OpenFor", c.OpenFor}, {"MaxOpenFor", c.MaxOpenFor}, {"TrialLease", c.TrialLease}} {
		if f.d < 0 {
			errs = append(errs, fmt.Errorf("breaker: Config.%s is %v, want more than 0, or 0 for the default", f.name, f.d))
		}
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"MinCalls", c.MinCalls}, {"Trials", c.Trials}, {"TrialsNeeded", c.TrialsNeeded}} {
		if f.n < 0 {
			errs = append(errs, fmt.Errorf("breaker: Config.%s is %d, want 1 or more, or 0 for the default", f.name, f.n))
		}
	}
	if math.IsNaN(c.FailureRate) || c.FailureRate > 1 {
		errs = append(errs, fmt.Errorf("breaker: Config.FailureRate is %v, want at most 1", c.FailureRate))
	}
	if c.Slow <= 0 && c.CountInFlight {
		errs = append(errs, errors.New("breaker: Config.Slow is not set, which CountInFlight needs"))
	}
	if d := c.withDefaults(); d.OpenFor > d.MaxOpenFor {
		errs = append(errs, fmt.Errorf("breaker: Config.OpenFor is %v, longer than MaxOpenFor, %v", d.OpenFor, d.MaxOpenFor))
	}
	if d := c.withDefaults(); d.TrialsNeeded > d.Trials {
		errs = append(errs, fmt.Errorf("breaker: Config.TrialsNeeded is %d, more than Trials, %d", d.TrialsNeeded, d.Trials))
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
	c.Trials = cmp.Or(c.Trials, 3)
	c.TrialsNeeded = cmp.Or(c.TrialsNeeded, c.Trials-c.Trials/3)
	c.TrialLease = cmp.Or(c.TrialLease, 30*time.Second)
	c.SlowStart = cmp.Or(c.SlowStart, 5*time.Second)
	return c
}
