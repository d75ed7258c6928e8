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
// [Do], [Run] and [Wrap] guard any operation. [Transport] guards HTTP requests with
// one breaker per host. [Breaker.Allow] serves what begins in one place and ends in
// another, such as a stream.
//
// Every error counts as a failure until [Config].Classify says otherwise: a row that
// is not there (sql.ErrNoRows), a key that is not cached, a request that was wrong. A
// client of a database, a cache or gRPC needs a Classify, of a few lines.
//
// # Model
//
//	            too many failures
//	closed ──────────────────────────▶ open ◀─────────┐
//	   ▲                                │             │
//	   │ enough trials                  │ OpenFor     │ too many
//	   │ succeed, then slow start       ▼ is over     │ trials fail
//	   └─────────────────────────── half-open ────────┘
//
// Closed, all calls run and their outcomes are counted in a rolling window. A call
// is bad if it failed, or took longer than Slow, if that is set. The breaker opens
// when at least MinCalls calls have ended in the window and FailureRate of them were
// bad; when Consecutive calls in a row were bad; or when AllFailed calls in a row were
// bad and no call in the window was good.
//
// Open, every call is refused at once with an [*Error]. A breaker that opens again
// before it has been closed for as long as it was open stays open for twice as long
// as the last time.
//
// Half-open, a few calls run as trials and all others are refused. When enough trials
// have succeeded, the breaker closes. For SlowStart it then admits only a part of the
// calls beyond the first ten simultaneous ones: a backend that comes back is weak. A
// trial that does not report within TrialLease gives up its place. What it reports
// later still counts, so that a breaker closes in front of calls that take longer
// than that. A result that arrives after the state has changed is not counted.
//
// A call may be answered long before it ends, as a stream is. [Permit.Answered] says
// so, and [Transport] does when good headers arrive. Such a call is a success at once.
// If its response then breaks off, the success turns into a failure. If the breaker
// has closed on account of it, the breaker opens again, unless it has been closed for
// as long as it was open and other calls were good.
//
// # What opens it, and how fast
//
// Three rules open a breaker, and one is enough. Consecutive notices that a busy
// backend goes down as a whole. AllFailed notices it for those who make few calls.
// FailureRate notices that a part of the calls fails. This is the time from the
// beginning of a fault until the breaker opens, with the defaults, by calls a second:
//
//	what happens                       0.03/s    1/s   10/s  100/s  1,000/s  10,000/s
//	every call fails                    2m13s     9s   1.9s  200ms     29ms      12ms
//	every response breaks off           2m13s     9s   1.9s  390ms    200ms     200ms
//	every call times out, after 10s     2m23s    14s    10s    10s      10s       10s
//	the same, Slow: 1s, CountInFlight   2m23s     9s     5s   5.3s     5.3s      5.3s
//	3 of 5 calls fail                   never  never   8.1s     8s       8s        8s
//	every call takes 2s, Slow: 1s       2m15s     9s   3.9s   2.2s       2s        2s
//	1 of 3 calls fails                  never  never  never  never    never     never
//
// A call takes 10 ms if nothing else is said. A simulation prints this table: go test
// -v -run Sim ./breaker -full.
//
// # Outcomes
//
// The end of a context that the caller cancelled is nobody's failure and is ignored,
// and so is a refusal by another layer of this process (an error with Rejected()
// bool). A deadline is a failure, whoever has set it: that is how a backend that never
// answers looks. [context.Cause] tells one from the other. If a caller gives a call less
// time than it usually takes, the backend therefore looks as if it were down, and a few
// such calls open the breaker for all: the example of Classify shows how a caller marks
// them. A panic and a runtime.Goexit are failures and pass through.
//
// # Metrics
//
// [Breaker.Stats] has counters that only grow: calls and their outcomes, refusals,
// trials, and how often the breaker opened. They cost a call up to three nanoseconds,
// and nothing where the clock is read. [Transport.All] and [Set.All] iterate over many
// breakers. [Config].Observe tells changes of state and refusals as they happen.
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
//	Config.Trials        3
//	Config.TrialsNeeded  2
//	Config.TrialLease    30s
//	Config.SlowStart     5s
//	SetConfig.MaxKeys    1024
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

// MarshalText returns what String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Breaker guards one backend. It is safe for concurrent use, starts no
// goroutine, and needs no Close. Make it with [New].
//
// While it is closed, and not in slow start, a call takes no lock. A good call reads
// the clock at most once, or twice if Slow is set. While it is open, a refusal does
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
	panics     atomic.Uint64 // of Observe, on the goroutine of a timer

	shift  uint32                               // of the last episode that has a window
	tries  uint64                               // Stats.Trials
	opened uint64                               // Stats.Opened
	told   struct{ calls, failed, slow uint64 } // by Stats, the last time

	window window // of all episodes; it has no lock
}

// New returns a closed Breaker. It panics if cfg is not valid.
func New(cfg Config) *Breaker {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	b := &Breaker{cfg: cfg.withDefaults(), epoch: time.Now(), rand: rand.Float64}
	b.window.step = max(1, b.cfg.Window/steps)
	e := b.closed(Auto)
	e.b, e.epoch = b, b.epoch
	b.current.Store(e)
	return b
}

// Do calls op unless b refuses, which returns an [*Error] without calling it.
// Otherwise op's value and error come back unchanged. Callers do not look at a value
// beside an error, so op closes it.
func Do[T any](ctx context.Context, b *Breaker, op func(context.Context) (T, error)) (T, error) {
	e := b.current.Load()
	if e.path.Load() == refuse {
		var zero T
		e.b.window.count(refused)
		return zero, e.refusal
	}
	return do(ctx, e, op)
}

// do is Do if the breaker is not simply open. It is a function of its own so that
// Do, in which nothing is deferred, fails as fast as a branch does. A call that is
// admitted at once does without a permit: with one, it would take a fifth longer.
func do[T any](ctx context.Context, e *episode, op func(context.Context) (T, error)) (T, error) {
	if e.path.Load() != admit {
		return asked(ctx, e.b, op)
	}
	c := admitted{e, ctx}
	defer c.abandoned()
	v, err := op(ctx)
	if err == nil && e.plain && e.row.empty() {
		c.episode = nil
		e.b.window.count(good)
	} else {
		c.returned(err)
	}
	return v, err
}

// An admitted call has nothing in its permit but the episode, which is nil as soon as
// the call has been settled.
type admitted struct {
	episode *episode
	ctx     context.Context
}

func (a *admitted) returned(err error) {
	e, o := a.episode, Success
	if err != nil || e.b.cfg.Classify != nil {
		o = e.b.Outcome(a.ctx, err)
	}
	a.episode = nil
	if o != Success || !e.succeed(0) {
		e.b.settle(a.ctx, e, &Permit{}, o, 0, true)
	}
}

// abandoned is for an operation that panicked or called runtime.Goexit.
func (a *admitted) abandoned() {
	if e := a.episode; e != nil {
		e.b.settle(a.ctx, e, &Permit{}, Failure, 0, true)
	}
}

// asked is do for a call that needs more of a permit.
func asked[T any](ctx context.Context, b *Breaker, op func(context.Context) (T, error)) (T, error) {
	permit, err := b.ask(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	outcome := Failure // if op panics or calls runtime.Goexit
	defer func() { permit.done(ctx, outcome, 0) }()
	v, err := op(ctx)
	outcome = b.Outcome(ctx, err)
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
