package loadbalance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Outcome is what a call came to, as far as its endpoint is concerned.
type Outcome uint8

const (
	// Default leaves it to the rules in the package documentation.
	Default Outcome = iota
	// Success says that the endpoint did its work.
	Success
	// Failure says that it did not.
	Failure
	// Overload says that it refused the call because it has too many.
	Overload
	// Ignored says nothing about the endpoint.
	Ignored
)

func (o Outcome) String() string {
	if o > Ignored {
		return fmt.Sprintf("Outcome(%d)", uint8(o))
	}
	return [...]string{"default", "success", "failure", "overload", "ignored"}[o]
}

// Result says how a call ended. The zero value is a success, timed by the Balancer.
type Result struct {
	// Err is the call's error, nil if it had none.
	Err error
	// Outcome is what the call came to. Default judges it by Err, as
	// [Balancer.Outcome] does, but without the caller's context.
	Outcome Outcome
	// RetryAfter is for how long an overloaded endpoint has asked to be left alone.
	// It cools down for as long, up to Config.MaxEjectFor, or looks eight times as slow
	// if too many others are out. 0: it has not asked.
	RetryAfter time.Duration
	// Latency is how long the answer took. 0: from Pick to Answered or Done.
	Latency time.Duration
}

// Outcome returns what [Do] would make of err, the error of an operation or nil: what
// Config.Classify says, or else the rules in the package documentation. It is never
// Default. ctx is the caller's, whose cause says whether the call was cancelled or its
// time was up.
func (b *Balancer[T]) Outcome(ctx context.Context, err error) Outcome {
	return b.core.outcome(ctx, err)
}

func (c *core) outcome(ctx context.Context, err error) Outcome {
	o := verdict(ctx, err)
	if o == Ignored {
		return o // Classify cannot undo it
	}
	return cmp.Or(c.classified(ctx, err), o)
}

// classified is what Config.Classify says.
func (c *core) classified(ctx context.Context, err error) Outcome {
	if c.cfg.Classify == nil {
		return Default
	}
	return c.cfg.Classify(ctx, err)
}

// verdict is the rules.
func verdict(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case rejected(err), cancelled(ctx, err):
		return Ignored
	}
	return Failure
}

// rejected reports whether another layer of this process refused the call.
func rejected(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err)
	return ok && e.Rejected()
}

// cancelled reports whether the caller did not want the answer any more. The cause of
// the context comes first: drivers turn cancellations and deadlines into errors of
// their own, and the deadline of an attempt looks like a cancellation to the contexts
// that are derived from its context.
func cancelled(ctx context.Context, err error) bool {
	if end := ctx.Err(); end != nil {
		return end != context.DeadlineExceeded && !timedOut(context.Cause(ctx))
	}
	return errors.Is(err, context.Canceled) && !timedOut(err)
}

func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && e.Timeout()
}

// settle takes in a result where it matters to the health of an endpoint: the call was
// no success, or the endpoint is special. rtt is less than 0 if the latency is not known.
func (c *core) settle(ctx context.Context, n *node, now, rtt int64, call *call, o Outcome, r *Result) {
	if o == Ignored {
		n.endure(now, rtt)
	} else {
		if o != Success && rtt >= 0 {
			rtt = max(rtt, c.typical(now, nil))
		}
		if o != Success || rtt < 0 || !n.known(now, rtt) {
			n.learn(now, rtt, o)
		}
		if o == Overload && r.RetryAfter > 0 && n.special.Load()&away == 0 && !c.room() {
			for range 3 { // it must not cool down, as too many are out: it looks much slower
				n.learn(now, -1, o)
			}
		}
		n.mark(failing, o != Success || estimateOf(n.learnt.Load()).failures > 0)
	}
	switch o {
	case Success:
		if n.row.Load() > 0 {
			call.row = n.row.Swap(0)
		}
	case Failure:
		n.row.Add(call.row + 1) // with what the header had ended, if it is the body that failed
	}
	if call.trial == 0 && n.special.Load()&leaving == 0 && !c.alarming(n, o, r) {
		return
	}
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.judgeLocked(ctx, n, call.trial, o, r)
	c.checkDrainedLocked(ctx, n)
}

// alarming reports whether there is reason to take a node out.
func (c *core) alarming(n *node, o Outcome, r *Result) bool {
	switch o {
	case Overload:
		return r.RetryAfter > 0 && c.room()
	case Failure:
		return n.special.Load()&away == 0 && c.tooMany(n) && c.room()
	}
	return false
}

// tooMany reports whether a node has failed too often.
func (c *core) tooMany(n *node) bool { return c.tooManyInARow(n) || c.tooLargeAShare(n) }

func (c *core) tooManyInARow(n *node) bool {
	return c.cfg.EjectAfter > 0 && int(n.row.Load()) >= c.cfg.EjectAfter
}

func (c *core) tooLargeAShare(n *node) bool {
	return c.cfg.EjectRate > 0 && float64(estimateOf(n.learnt.Load()).failures) >= c.cfg.EjectRate
}

// judgeLocked changes the state of a node, if a result is a reason.
func (c *core) judgeLocked(ctx context.Context, n *node, trial uint32, o Outcome, r *Result) {
	h := n.health
	onTrial := h.onTrial(trial)
	switch {
	case h.gone:
	case o == Failure && trial != 0 && h.out == Healthy && h.passed == trial:
		c.ejectAgainLocked(ctx, n, withError("its trial failed after a good answer", r.Err))
	case h.out != Healthy && !onTrial:
	case o == Overload && r.RetryAfter > 0:
		c.coolLocked(ctx, n, r)
	case o == Ignored && onTrial:
		c.halfOpenLocked(n, h.why)
	case o == Success && onTrial:
		c.readmitLocked(ctx, n, trial)
	case onTrial:
		c.ejectAgainLocked(ctx, n, withError("its trial failed", r.Err))
	case o == Failure && c.tooManyInARow(n):
		c.ejectLocked(ctx, n, withError(fmt.Sprintf("%d calls in a row have failed", n.row.Load()), r.Err))
	case o == Failure && c.tooLargeAShare(n):
		share := estimateOf(n.learnt.Load()).failures
		c.ejectLocked(ctx, n, withError(fmt.Sprintf("%.0f %% of the last calls have failed", 100*share), r.Err))
	}
}

func withError(why string, err error) string {
	if err == nil {
		return why
	}
	return fmt.Sprintf("%s; the last error: %v", why, err)
}
