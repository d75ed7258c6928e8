// Package breaker stops calls to what is down, and finds out gently when it is
// back.
//
// A [Breaker] is made once per backend and shared by all calls to it:
//
//	b := breaker.New(breaker.Config{})
//	user, err := breaker.Do(ctx, b, func(ctx context.Context) (User, error) {
//		return fetchUser(ctx, id)
//	})
//
// [Do], [Run] and [Wrap] guard any operation, [Transport] guards HTTP requests with
// one breaker per host, and [Breaker.Allow] serves what has no single end, such as
// a stream.
//
// # Model
//
//	            too many failures
//	closed ──────────────────────────▶ open ◀─────────┐
//	   ▲                                │             │
//	   │ enough probes                  │ OpenFor     │ too many
//	   │ succeed, then ramp-up          ▼ is over     │ probes fail
//	   └─────────────────────────── half-open ────────┘
//
// Closed, all calls run and their outcomes are counted in a rolling window. The
// breaker opens when at least MinCalls calls have ended in it and FailureRate of
// them have failed, or when Consecutive calls in a row have failed.
//
// Open, every call is refused at once with an [*Error]. Each time the breaker
// opens anew without having been healthy for a Window in between, it stays open
// for twice as long.
//
// Half-open, a few probes run and all other calls are refused. When enough of them
// succeed the breaker closes, and for RampUp it admits only a growing share of
// simultaneous calls, from a tenth of them on: a backend that comes back is weak.
// A probe that does not report within ProbeLease gives up its place; a result
// that arrives after the state has changed is not counted.
//
// # Outcomes
//
// The end of a context that the caller cancelled is nobody's failure and is
// ignored, and so is a refusal by another layer of this process (an error with
// Rejected() bool). A deadline is a failure, whoever has set it: that is how a
// backend that never answers looks. A panic and a runtime.Goexit are failures
// and pass through.
//
// # Defaults
//
//	Config.Window        10s
//	Config.MinCalls      20
//	Config.FailureRate   0.5
//	Config.Consecutive   20
//	Config.OpenFor       5s
//	Config.MaxOpenFor    1m0s
//	Config.Probes        3
//	Config.ProbesNeeded  2
//	Config.ProbeLease    30s
//	Config.RampUp        5s
package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// ErrOpen is found by [errors.Is] in every refusal.
var ErrOpen = errors.New("breaker: open")

// Error is a refusal: the call was not made.
type Error struct {
	Name  string // Config.Name
	State State  // Closed while traffic is ramped up
	until time.Time
}

func (e *Error) Error() string {
	name := "breaker"
	if e.Name != "" {
		name = fmt.Sprintf("breaker %q", e.Name)
	}
	switch e.State {
	case HalfOpen:
		return name + " is half-open and waits for its probes"
	case Closed:
		return name + " has just closed and admits only a part of the calls"
	default:
		return name + " is open"
	}
}

// Is reports whether target is [ErrOpen].
func (e *Error) Is(target error) bool { return target == ErrOpen }

// Rejected reports true: this process refused the call and sent nothing.
func (e *Error) Rejected() bool { return true }

// RetryAfter returns the time until the breaker probes, 0 if that is now or not
// known.
func (e *Error) RetryAfter() time.Duration {
	if e.until.IsZero() {
		return 0
	}
	return max(0, time.Until(e.until))
}

// State is the state of a [Breaker].
type State uint8

// The states, as the package documentation describes them.
const (
	Closed State = iota
	Open
	HalfOpen
)

func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Outcome is how a call ended, as far as the breaker is concerned.
type Outcome uint8

const (
	// Success says that the backend did its work.
	Success Outcome = iota
	// Failure says that it did not.
	Failure
	// Ignored says nothing about the backend.
	Ignored
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
	c.Window = orDefault(c.Window, 10*time.Second)
	c.MinCalls = orDefault(c.MinCalls, 20)
	c.FailureRate = orDefault(c.FailureRate, 0.5)
	c.Consecutive = orDefault(c.Consecutive, 20)
	c.OpenFor = orDefault(c.OpenFor, 5*time.Second)
	c.MaxOpenFor = orDefault(c.MaxOpenFor, max(time.Minute, c.OpenFor))
	c.Probes = orDefault(c.Probes, 3)
	c.ProbesNeeded = orDefault(c.ProbesNeeded, (2*c.Probes+2)/3)
	c.ProbeLease = orDefault(c.ProbeLease, 30*time.Second)
	c.RampUp = orDefault(c.RampUp, 5*time.Second)
	if c.Classify == nil {
		c.Classify = classify
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
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

// A Breaker guards one backend. It is safe for concurrent use, starts no
// goroutine, and needs no Close. Make it with [New].
type Breaker struct {
	cfg   Config
	epoch time.Time // of all times below
	rand  func() float64

	mu         sync.Mutex
	state      State
	generation uint64 // grows with each change of state
	window     window
	inARow     int           // failures since the last success
	since      time.Duration // when the state began
	reopen     time.Duration // Open: when probing begins
	refusal    *Error        // Open: what every call gets
	asked      time.Duration // until when a Retry-After asks to wait
	streak     int           // times opened without a healthy window in between
	ramping    bool          // Closed: not all calls are admitted yet
	share      float64       // Closed, ramping: of a call, admitted but not used
	running    int           // Closed: calls not done yet

	probes    []probe // HalfOpen: those begun, the ignored ones excepted
	succeeded int
	failed    int
}

// A probe is a call in half-open state.
type probe struct {
	sequence uint64 // 0: the place is free
	expires  time.Duration
	reported bool
}

// New returns a closed Breaker. It panics if cfg is not valid.
func New(cfg Config) *Breaker {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	return &Breaker{
		cfg:    cfg,
		epoch:  time.Now(),
		rand:   rand.Float64,
		window: window{step: max(1, cfg.Window/steps)},
		probes: make([]probe, cfg.Probes),
	}
}

// Do calls op unless b refuses, which returns an [*Error] without calling it.
// Otherwise op's value and error come back unchanged.
func Do[T any](ctx context.Context, b *Breaker, op func(context.Context) (T, error)) (T, error) {
	permit, err := b.Allow()
	if err != nil {
		var zero T
		return zero, err
	}
	outcome := Failure // if op panics or calls runtime.Goexit
	defer func() { permit.Done(outcome) }()
	v, err := op(ctx)
	outcome = b.cfg.Classify(ctx, err)
	return v, err
}

// Run is [Do] for an operation without a value.
func Run(ctx context.Context, b *Breaker, op func(context.Context) error) error {
	_, err := Do(ctx, b, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, op(ctx)
	})
	return err
}

// Wrap returns fn guarded by b.
func Wrap[In, T any](b *Breaker, fn func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	return func(ctx context.Context, in In) (T, error) {
		return Do(ctx, b, func(ctx context.Context) (T, error) { return fn(ctx, in) })
	}
}

// State returns the current state. An open breaker whose time is over stays open
// until a call comes to probe with.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}
