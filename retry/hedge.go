package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// HedgeConfig describes a [Hedger]. The zero value is a good one.
type HedgeConfig struct {
	// Name stands in every [Event] and in [HedgeStats].
	Name string

	// Delay is the time after which a further attempt is begun beside those
	// that run. With a Quantile it is used until enough times are known.
	Delay time.Duration

	// Quantile, above 0 and below 1, is the share of recent calls that were
	// faster than those to be hedged. It takes the place of Delay once 64
	// calls have succeeded. 0 means 0.95, or only Delay if that is set.
	Quantile float64

	// Max is the largest number of attempts of one call, the first included,
	// and so of those in flight. 0 means 2.
	Max int

	// Inline runs the first attempt on the caller's goroutine, which makes a call
	// that is not hedged several times cheaper. It is for operations that
	// return soon after their context has ended: the call waits for a first
	// attempt that does not.
	Inline bool

	// Classify decides about an error before the rules in the package
	// documentation do. ctx is the attempt's. nil leaves everything to the rules.
	Classify func(ctx context.Context, err error) Decision `json:"-"`

	// Budget limits hedges over all calls; a hedge costs what a retry does. Give
	// it the Budget of the Policy that calls the same backend. (Where Do runs
	// Hedge, a success counts for both; Transport counts it once.) nil means one
	// of the Hedger's own, NoBudget no limit.
	Budget *Budget `json:"-"`

	// Observe is called when a further attempt is begun or refused, and when the
	// call ends, with the caller's context. nil means not at all. Where it runs
	// on a goroutine of the Hedger's, a panic of it is dropped and counted in
	// [HedgeStats].
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c HedgeConfig) Validate() error {
	var errs []error
	if c.Delay < 0 {
		errs = append(errs, fmt.Errorf("retry: HedgeConfig.Delay is %v, want 0 or more", c.Delay))
	}
	if !(c.Quantile >= 0 && c.Quantile < 1) {
		errs = append(errs, fmt.Errorf("retry: HedgeConfig.Quantile is %v, want above 0 and below 1, or 0 for the default", c.Quantile))
	}
	if c.Max < 0 {
		errs = append(errs, fmt.Errorf("retry: HedgeConfig.Max is %d, want 1 or more, or 0 for the default", c.Max))
	}
	return errors.Join(errs...)
}

func (c HedgeConfig) withDefaults() HedgeConfig {
	if c.Delay == 0 {
		c.Quantile = cmp.Or(c.Quantile, 0.95)
	}
	c.Max = cmp.Or(c.Max, 2)
	if c.Budget == nil {
		c.Budget = NewBudget(BudgetConfig{Name: c.Name})
	}
	return c
}

// A Hedger cuts off the slow end of a backend's latencies: a call that takes
// long is begun a second time, and the faster attempt counts (Dean and Barroso,
// "The Tail at Scale", 2013). It is made once per backend and safe for
// concurrent use; make it with [NewHedger]. Attempts run on goroutines that end
// with them. It keeps timers: inside a testing/synctest bubble, use one made there.
type Hedger struct {
	cfg    HedgeConfig
	epoch  time.Time
	sketch *sketch // nil: a fixed delay

	races sync.Pool // of *race[T] that are over and were alone, for the next calls

	hedges, wins, refused, panics atomic.Uint64
}

// NewHedger returns a Hedger. It panics if cfg is not valid.
func NewHedger(cfg HedgeConfig) *Hedger {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	h := &Hedger{cfg: cfg.withDefaults(), epoch: time.Now()}
	if h.cfg.Quantile > 0 {
		h.sketch = &sketch{q: h.cfg.Quantile}
	}
	return h
}

// Hedge calls op. It calls op once more while the first attempt runs if that is
// slow: after the delay or quantile of the [HedgeConfig], or at once after a failure
// that is retried. The first attempt that succeeds, or fails with a final error,
// decides: Hedge returns its value and error. A refusal decides only if nothing
// else was sent.
//
// op must be safe to run more than once at a time. The context of each attempt ends
// at the latest when Hedge returns, that of the winner too: what reads from it, such
// as the body of a response, is read inside op. discard, if not nil, gets the value of
// each other attempt that succeeds. That may be after Hedge has returned, and for
// several at a time. A value beside an error is op's to close.
//
// Errors are those of [Do]. An empty budget prevents hedges. It ends none that runs,
// and it is no error while another attempt runs.
//
// Hedge does not call op if ctx has ended. It does not wait for attempts that have
// lost, and for none when ctx ends (but see HedgeConfig.Inline). A panic or
// [runtime.Goexit] in op or Classify becomes the caller's. After Hedge has
// returned, a panic in op, Classify or discard is told to Observe. Without Observe it
// is a goroutine's like any other.
func Hedge[T any](ctx context.Context, h *Hedger, op func(context.Context) (T, error), discard func(T)) (T, error) {
	if ctx.Err() != nil {
		var zero T
		return zero, context.Cause(ctx)
	}
	r, ok := h.races.Get().(*race[T])
	if !ok {
		r = &race[T]{h: h}
	}
	r.parent, r.op, r.discard = ctx, op, discard
	v, by, err := r.run()
	if by != nil {
		by.cancel(nil)
	}
	if err != nil {
		return v, r.fail(err)
	}
	h.cfg.Budget.deposit()
	if r.alone() {
		*r = race[T]{h: h, timer: r.timer}
		h.races.Put(r)
	}
	return v, nil
}

// fail returns the error of a call that err has decided.
func (r *race[T]) fail(err error) error {
	if r.sent > 0 {
		r.h.cfg.Budget.request()
	}
	err = unmarked(err)
	if r.sent == 0 || r.begun == 1 && r.result.cause == nil {
		return err
	}
	return &Error{Attempts: r.begun - r.refused, Elapsed: r.h.now() - r.begin, Err: err, Cause: r.result.cause}
}

func (h *Hedger) now() time.Duration { return time.Since(h.epoch) }

// delay returns the time before the next attempt, negative for never.
func (h *Hedger) delay() time.Duration {
	if h.sketch != nil {
		if d := h.sketch.value(); d > 0 {
			return d
		}
		if h.cfg.Delay == 0 {
			return -1
		}
	}
	return h.cfg.Delay
}
