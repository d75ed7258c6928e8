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
// Open, every call is refused at once with an [*Error]. A breaker that opens anew
// before it has been closed for as long as it was open stays open for twice as
// long as the last time.
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
	lastOpen   time.Duration // how long it was, or is, to be open
	streak     int           // times opened without a healthy time in between
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
