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
// Closed, all calls run and their outcomes are counted in a rolling window. A call
// is bad if it failed, or took longer than Slow, if that is set. The breaker opens
// when at least MinCalls calls have ended in the window and FailureRate of them
// were bad, or SlowRate of them slow; when Consecutive calls in a row were bad; or
// when all calls in the window were bad and there were AllFailed of them.
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
//	Config.AllFailed     5
//	Config.OpenFor       5s
//	Config.MaxOpenFor    20s
//	Config.Probes        3
//	Config.ProbesNeeded  2
//	Config.ProbeLease    30s
//	Config.RampUp        5s
//	SetConfig.Size       1024
package breaker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

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
//
// While it is closed and not ramping up, a call costs no lock and, unless Slow is
// set, a good one at most one look at the clock; while it is open, a refusal costs
// neither.
type Breaker struct {
	cfg     Config
	epoch   time.Time // of all times that are durations
	rand    func() float64
	set     *fuse // of the Set that it belongs to, or nil
	current atomic.Pointer[episode]

	mu         sync.Mutex // held to change the state, and for all below
	mode       Mode
	timer      *time.Timer   // ends the open episode
	lastOpen   time.Duration // how long it was, or is, to be open
	streak     int           // times opened without a healthy time in between
	dropped    bool          // by its Set
	history    []Transition
	events     []observed // not delivered yet
	delivering bool
}

// New returns a closed Breaker. It panics if cfg is not valid.
func New(cfg Config) *Breaker {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	b := &Breaker{cfg: cfg.withDefaults(), epoch: time.Now(), rand: rand.Float64}
	e := b.closed(Auto)
	e.b, e.epoch = b, b.epoch
	b.current.Store(e)
	return b
}

// Do calls op unless b refuses, which returns an [*Error] without calling it.
// Otherwise op's value and error come back unchanged.
func Do[T any](ctx context.Context, b *Breaker, op func(context.Context) (T, error)) (T, error) {
	e := b.current.Load()
	if e.path.Load() == refuse {
		var zero T
		return zero, e.refusal
	}
	return do(ctx, e, op)
}

// do is Do if the breaker is not simply open. It is a function of its own so that
// Do, in which nothing is deferred, fails as fast as a branch does.
func do[T any](ctx context.Context, e *episode, op func(context.Context) (T, error)) (T, error) {
	if e.path.Load() != admit {
		return asked(ctx, e.b, op)
	}
	c := running{e, ctx}
	defer c.abandoned()
	v, err := op(ctx)
	if err == nil && e.plain && e.inARow.Load() == 0 {
		c.episode = nil
	} else {
		c.returned(err)
	}
	return v, err
}

// A running call was admitted at once: there is nothing in its permit but the
// episode, which is nil as soon as the call has been settled.
type running struct {
	episode *episode
	ctx     context.Context
}

// returned settles a call whose operation returned.
func (r *running) returned(err error) {
	e, outcome := r.episode, Success
	if err != nil || e.b.cfg.Classify != nil {
		outcome = e.b.cfg.classify(r.ctx, err)
	}
	r.episode = nil
	if outcome != Success || !e.succeed(0) {
		e.b.report(r.ctx, &Permit{episode: e}, outcome, 0)
	}
}

// abandoned settles a call whose operation panicked or called runtime.Goexit.
func (r *running) abandoned() {
	if e := r.episode; e != nil {
		e.b.report(r.ctx, &Permit{episode: e}, Failure, 0)
	}
}

// asked asks the breaker for a permit to call op.
func asked[T any](ctx context.Context, b *Breaker, op func(context.Context) (T, error)) (T, error) {
	permit, err := b.allow(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	outcome := Failure // if op panics or calls runtime.Goexit
	defer func() { permit.done(ctx, outcome, 0) }()
	v, err := op(ctx)
	outcome = b.cfg.classify(ctx, err)
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

// State returns the current state.
func (b *Breaker) State() State { return b.current.Load().state }
