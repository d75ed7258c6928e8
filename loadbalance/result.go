package loadbalance

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Outcome is how a call ended, as far as its endpoint is concerned.
type Outcome uint8

const (
	// ByError leaves it to Result.Err, by the rules in the package documentation.
	ByError Outcome = iota
	// Success says that the endpoint did its work.
	Success
	// Failure says that it did not.
	Failure
	// Overload says that it refused to, having too much of it.
	Overload
	// Ignored says nothing about the endpoint.
	Ignored
)

// Result says how a call ended. The zero value is a success, timed by the Balancer.
type Result struct {
	// Err is the call's error, nil if it had none.
	Err error
	// Outcome is set where Err does not say enough.
	Outcome Outcome
	// RetryAfter is for how long an endpoint that is overloaded has asked to be left
	// alone, if it has: it cools down for as long, up to Config.MaxEjectFor.
	RetryAfter time.Duration
	// Latency is how long the answer took. 0: from Pick to Answered or Done.
	Latency time.Duration
}

func (r *Result) outcome(ctx context.Context) Outcome {
	switch err := r.Err; {
	case r.Outcome != ByError:
		return r.Outcome
	case err == nil:
		return Success
	// Drivers turn a cancelled context into errors of their own: look at both.
	case ctx.Err() == context.Canceled || errors.Is(err, context.Canceled):
		return Ignored
	}
	if e, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](r.Err); ok && e.Rejected() {
		return Ignored
	}
	return Failure
}

// settle takes in the end of a call where it matters to the health of its endpoint:
// it was no success, or the endpoint is special. rtt is less than 0 if the latency
// was not measured.
func (c *core) settle(ctx context.Context, n *node, now, rtt int64, trial uint32, o Outcome, r *Result) {
	if o == Ignored {
		n.endure(now, rtt)
	} else {
		if o != Success && rtt >= 0 {
			rtt = max(rtt, c.typical(now))
		}
		n.learn(now, rtt, o)
		failures := estimateOf(n.learnt.Load()).failures
		if o == Success {
			n.row.Store(0)
			n.mark(failing, failures > 0)
		} else {
			n.mark(failing, true)
		}
		if o == Failure {
			n.row.Add(1)
		}
	}
	if trial == 0 && n.special.Load()&leaving == 0 && !c.alarming(n, o, r) {
		return
	}
	c.mu.Lock()
	defer c.unlock()
	c.judge(ctx, n, trial, o, r)
	if n.health.gone && n.inFlight() == 0 {
		c.drained(ctx, n)
	}
}

// alarming reports whether there is reason to take a node out.
func (c *core) alarming(n *node, o Outcome, r *Result) bool {
	switch o {
	case Overload:
		return r.RetryAfter > 0
	case Failure:
		return c.tooMany(n) != ""
	}
	return false
}

// tooMany says in what way a node has failed too often, if it has.
func (c *core) tooMany(n *node) string {
	if row := n.row.Load(); c.cfg.EjectAfter > 0 && int(row) >= c.cfg.EjectAfter {
		return fmt.Sprintf("%d calls in a row have failed", row)
	}
	if f := float64(estimateOf(n.learnt.Load()).failures); c.cfg.EjectRate > 0 && f >= c.cfg.EjectRate {
		return fmt.Sprintf("%.0f %% of the last calls have failed", 100*f)
	}
	return ""
}

// judge changes the state of a node, if the end of a call is a reason. The lock is
// held.
func (c *core) judge(ctx context.Context, n *node, trial uint32, o Outcome, r *Result) {
	h := n.health
	onTrial := h.onTrial(trial)
	if h.gone || h.out != Healthy && !onTrial {
		return
	}
	switch {
	case o == Overload && r.RetryAfter > 0:
		d := min(r.RetryAfter, c.cfg.MaxEjectFor)
		c.takeOut(ctx, n, Cooling, d, withError("overloaded", r.Err))
	case o == Ignored && onTrial:
		c.halfOpen(n, h.why)
	case o == Success && onTrial:
		c.readmit(ctx, n)
	case onTrial:
		c.ejectAgain(ctx, n, withError("its trial failed", r.Err))
	case o == Failure:
		if why := c.tooMany(n); why != "" {
			c.eject(ctx, n, withError(why, r.Err))
		}
	}
}

func withError(why string, err error) string {
	if err == nil {
		return why
	}
	return fmt.Sprintf("%s; the last error: %v", why, err)
}
