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
	// documentation do. nil leaves everything to them.
	Classify func(ctx context.Context, err error) Decision `json:"-"`

	// Budget limits hedges over all calls; a hedge costs what a retry does. Give
	// it the Budget of the Policy that calls the same backend. (Where Do runs
	// Hedge, a success counts for both; Transport counts it once.) nil means one
	// of the Hedger's own, NoBudget no limit.
	Budget *Budget `json:"-"`

	// Observe is called when a further attempt is begun or refused, and when the
	// call ends, with the caller's context. nil means not at all.
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
		c.Budget = NewBudget(BudgetConfig{})
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

	hedges, wins, refused atomic.Uint64
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

// Hedge calls op, and calls it once more while it runs if it is slow: after the
// delay or quantile of the [HedgeConfig], or at once if an attempt fails in a way
// that is retried. The first attempt that succeeds, or fails for good, decides:
// Hedge returns its value and error, and cancels the others' contexts.
//
// op must be safe to run more than once at a time. discard, if not nil, gets the
// value of each other attempt that succeeds, when it does, perhaps after Hedge has
// returned, and of several at a time. Errors are those of [Do]. The budget only prevents hedges; it ends
// none that runs, and neither is a refusal an error while another attempt runs.
//
// Hedge does not call op if ctx has ended. It waits for no attempt that has lost,
// nor for any when ctx ends (but see HedgeConfig.Inline). A panic or
// [runtime.Goexit] of an attempt becomes the caller's; after Hedge has returned it
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
	v, c, err := r.run()
	if c != nil {
		c.cancel(nil)
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
	if r.sent {
		r.h.cfg.Budget.request()
	}
	if m, ok := err.(*marked); ok {
		err = m.error
	}
	if !r.sent || r.begun == 1 && r.cause == nil {
		return err
	}
	return &Error{Attempts: r.begun, Elapsed: r.h.now() - r.begin, Last: err, Cause: r.cause}
}

// HedgeStats is a snapshot of a [Hedger].
type HedgeStats struct {
	Delay   time.Duration // before a call is hedged; 0: not known yet
	Hedges  uint64        // attempts begun beside, or after, others
	Wins    uint64        // those whose value was returned
	Refused uint64        // those the budget refused
}

// Stats returns a snapshot.
func (h *Hedger) Stats() HedgeStats {
	return HedgeStats{
		Delay:   max(h.delay(), 0),
		Hedges:  h.hedges.Load(),
		Wins:    h.wins.Load(),
		Refused: h.refused.Load(),
	}
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
