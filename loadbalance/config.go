package loadbalance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Config describes a [Balancer]. The zero value is a good one.
type Config struct {
	// Name tells Balancers apart in Events, Stats and errors. It may be empty.
	Name string
	// Policy chooses among the endpoints. nil means PeakEWMA.
	Policy Policy `json:"-"`
	// Decay is how fast estimates are forgotten: after this time a third is left.
	// 0 means 10 seconds.
	Decay time.Duration
	// MaxInFlight is the number of calls that may be in flight to one endpoint, at most
	// 1,000,000. 0 means no limit.
	MaxInFlight int

	// EjectAfter is the number of failures in a row that ejects an endpoint.
	// 0 means 5; negative: off.
	EjectAfter int
	// EjectRate, in (0, 1], is the share of failures, over about the last 16 calls,
	// that ejects an endpoint. 0 means 0.5; negative: off.
	EjectRate float64
	// EjectFor is how long an endpoint is ejected at first. Each further ejection
	// lasts twice as long as the one before. An endpoint that has been healthy for as
	// long as its last ejection starts again with EjectFor. 0 means 5 seconds.
	EjectFor time.Duration
	// MaxEjectFor is the longest ejection, and the longest time for which a
	// Retry-After keeps an endpoint cool. 0 means a minute, or EjectFor if that is
	// longer.
	MaxEjectFor time.Duration
	// MaxEjected, in (0, 1], is the share of the endpoints that may be ejected or cool
	// at a time. One of several always may. 0 means 0.3.
	MaxEjected float64
	// TrialLease is how long the trial of an endpoint may take before another call may
	// be its trial. 0 means 30 seconds.
	TrialLease time.Duration
	// SlowStart is the time in which an endpoint's share grows from a tenth to the
	// whole, when it joins a set or is healthy again. If all endpoints are in their
	// slow start, only the differences between them count. 0 means 10 seconds;
	// negative: off.
	SlowStart time.Duration
	// Panic, in (0, 1], is the share of healthy endpoints below which health is
	// ignored. 0 means 0.5; negative: health is ignored only when no endpoint is
	// healthy.
	Panic float64

	// CheckEvery is the time between two active checks of an endpoint, give or take
	// a tenth. This field and the three that follow are for [Balancer.Check]. 0 means
	// 10 seconds.
	CheckEvery time.Duration
	// CheckTimeout is after how long a check has failed. 0 means a second, or
	// CheckEvery if that is less.
	CheckTimeout time.Duration
	// CheckFailures is how many checks in a row must fail before an endpoint counts as
	// unhealthy. 0 means 3.
	CheckFailures int
	// CheckPasses is how many checks in a row must pass before it counts as healthy
	// again. 0 means 2.
	CheckPasses int

	// Classify decides what the error of an operation says about its endpoint; ctx is
	// the caller's, err may be nil. Default leaves it to the rules in the package
	// documentation, and so does nil. It is not asked about refusals and the caller's
	// own cancel, which say nothing. A [Transport] asks its own Classify first.
	Classify func(ctx context.Context, err error) Outcome `json:"-"`

	// Observe is told what happens to the endpoints, in the order in which it happens,
	// while no lock is held. Its context is that of the call that caused the event, or
	// context.Background() where no call did. A panic of Observe on a goroutine of the
	// Balancer's is dropped, and counted in Stats.
	Observe func(context.Context, Event) `json:"-"`
}

// maxInFlight is how many calls fit into the word that counts them, with some to spare.
const maxInFlight = 1_000_000

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		d    time.Duration
	}{
		{"Decay", c.Decay}, {"EjectFor", c.EjectFor}, {"MaxEjectFor", c.MaxEjectFor}, {"TrialLease", c.TrialLease},
		{"CheckEvery", c.CheckEvery}, {"CheckTimeout", c.CheckTimeout},
	} {
		if f.d < 0 {
			errs = append(errs, fmt.Errorf("loadbalance: Config.%s is %v, want more than 0, or 0 for the default", f.name, f.d))
		}
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"CheckFailures", c.CheckFailures}, {"CheckPasses", c.CheckPasses}} {
		if f.n < 0 {
			errs = append(errs, fmt.Errorf("loadbalance: Config.%s is %d, want 1 or more, or 0 for the default", f.name, f.n))
		}
	}
	if c.MaxInFlight < 0 || c.MaxInFlight > maxInFlight {
		errs = append(errs, fmt.Errorf("loadbalance: Config.MaxInFlight is %d, want 1 to %d, or 0 for no limit", c.MaxInFlight, maxInFlight))
	}
	if !(c.MaxEjected >= 0 && c.MaxEjected <= 1) {
		errs = append(errs, fmt.Errorf("loadbalance: Config.MaxEjected is %v, want more than 0 and at most 1, or 0 for the default", c.MaxEjected))
	}
	for _, f := range []struct {
		name string
		rate float64
	}{{"EjectRate", c.EjectRate}, {"Panic", c.Panic}} {
		if math.IsNaN(f.rate) || f.rate > 1 {
			errs = append(errs, fmt.Errorf("loadbalance: Config.%s is %v, want at most 1", f.name, f.rate))
		}
	}
	if d := c.withDefaults(); d.EjectFor > d.MaxEjectFor {
		errs = append(errs, fmt.Errorf("loadbalance: Config.EjectFor is %v, longer than MaxEjectFor, %v", d.EjectFor, d.MaxEjectFor))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Policy == nil {
		c.Policy = PeakEWMA
	}
	c.Decay = cmp.Or(c.Decay, 10*time.Second)
	c.EjectAfter = cmp.Or(c.EjectAfter, 5)
	c.EjectRate = cmp.Or(c.EjectRate, 0.5)
	c.EjectFor = cmp.Or(c.EjectFor, 5*time.Second)
	c.MaxEjectFor = cmp.Or(c.MaxEjectFor, max(time.Minute, c.EjectFor))
	c.MaxEjected = cmp.Or(c.MaxEjected, 0.3)
	c.TrialLease = cmp.Or(c.TrialLease, 30*time.Second)
	c.SlowStart = cmp.Or(c.SlowStart, 10*time.Second)
	c.Panic = cmp.Or(c.Panic, 0.5)
	c.CheckEvery = cmp.Or(c.CheckEvery, 10*time.Second)
	c.CheckTimeout = cmp.Or(c.CheckTimeout, min(time.Second, c.CheckEvery))
	c.CheckFailures = cmp.Or(c.CheckFailures, 3)
	c.CheckPasses = cmp.Or(c.CheckPasses, 2)
	return c
}
