package loadbalance

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// health is the part of a node that is guarded by core.mu, but for the slow start.
type health struct {
	from, until atomic.Int64 // slow start

	endpoint any    // its last
	told     State  // last
	since    int64  // told
	why      string // told

	out    State  // Healthy, HalfOpen, Cooling or Ejected
	trial  uint32 // the sequence of the running trial, 0 if there is none
	trials uint32 // begun so far
	passed uint32 // the sequence of the trial that has brought it back
	streak int    // ejections without a healthy time in between
	outFor time.Duration
	backAt int64 // of the last return

	unhealthy     bool // its active checks fail
	fails, passes int  // of them, in a row
	stopCheck     context.CancelFunc

	gone, drained bool
	leftAt        int64

	timer *time.Timer
	turn  int // of the timer: what an earlier one does comes too late
}

func (h *health) available() bool { return h.out == Healthy && !h.unhealthy }

// stateLocked is the first of those that a node is in.
func (n *node) stateLocked(now int64) State {
	h := n.health
	switch {
	case h.gone:
		return Draining
	case h.unhealthy:
		return Unhealthy
	case h.out != Healthy:
		return h.out
	case n.ramping(now):
		return SlowStart
	}
	return Healthy
}

// What is special about a node, so that the end of a call is more than a count.
const (
	failing uint32 = 1 << iota // it has failures to forget
	away                       // it is not Healthy
	leaving                    // it is not in the set
)

// mark sets or clears a bit of special.
func (n *node) mark(bit uint32, on bool) {
	if on {
		n.special.Or(bit)
	} else {
		n.special.And(^bit)
	}
}

// noteLocked tells the state of a node, after it may have changed. A new snapshot is up to
// the caller.
func (c *core) noteLocked(ctx context.Context, n *node, why string) {
	h := n.health
	now := c.now()
	n.mark(away, h.out != Healthy)
	n.mark(leaving, h.gone)
	if s := n.stateLocked(now); s != h.told {
		c.tellLocked(ctx, Event{Kind: Changed, Key: n.key, Value: c.value(h.endpoint), From: h.told, To: s, Reason: why})
		h.told, h.since, h.why = s, now, why
		c.trouble = c.trouble || s == Ejected || s == Unhealthy
	}
}

// afterLocked arranges for f to be called with the lock held, unless the node has been
// given another timer by then.
func (c *core) afterLocked(n *node, d time.Duration, f func()) {
	h := n.health
	h.turn++
	turn := h.turn
	if h.timer != nil {
		h.timer.Stop()
	}
	h.timer = time.AfterFunc(d, func() {
		defer c.deliver()
		c.mu.Lock()
		defer c.mu.Unlock()
		if h.turn == turn && c.ctx.Err() == nil {
			f()
		}
	})
}

// ejectLocked takes a node out of the set, if enough others are left.
func (c *core) ejectLocked(ctx context.Context, n *node, why string) {
	ejected := 0
	for _, m := range c.all {
		if out := m.node.health.out; out == Ejected || out == HalfOpen {
			ejected++
		}
	}
	if ejected+1 <= max(1, int(c.cfg.MaxEjected*float64(len(c.all)))) && len(c.all) > 1 && !n.health.gone {
		c.ejectAgainLocked(ctx, n, why)
	}
}

// ejectAgainLocked is for a node that has failed its trial, however many there are.
func (c *core) ejectAgainLocked(ctx context.Context, n *node, why string) {
	h := n.health
	if h.out == Healthy && c.now()-h.backAt >= int64(h.outFor) {
		h.streak = 0
	}
	d := min(c.cfg.EjectFor<<min(h.streak, 16), c.cfg.MaxEjectFor)
	h.streak++
	c.takeOutLocked(ctx, n, Ejected, d, why)
}

// takeOutLocked takes a node out of the set for a time, after which it is half-open.
func (c *core) takeOutLocked(ctx context.Context, n *node, out State, d time.Duration, why string) {
	h := n.health
	h.out, h.outFor, h.trial = out, d, 0
	n.health.until.Store(0)
	c.afterLocked(n, d, func() { c.halfOpenLocked(n, fmt.Sprintf("%v for %v: %s", out, d, why)) })
	c.noteLocked(ctx, n, why)
	c.rebuildLocked(ctx)
}

// halfOpenLocked lets a node have a trial.
func (c *core) halfOpenLocked(n *node, why string) {
	n.health.out, n.health.trial = HalfOpen, 0
	c.noteLocked(context.Background(), n, why)
	c.rebuildLocked(context.Background())
}

// takeTrial begins a call to a node that waits for its trial, and returns the trial's
// number, or 0 if there is none to take.
func (c *core) takeTrial(ctx context.Context, start int64) (m member, trial uint32) {
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.current.Load()
	if len(s.trials) == 0 {
		return member{}, 0
	}
	m = s.trials[0]
	if !m.node.begin(start, c.cfg.MaxInFlight) {
		return member{}, 0
	}
	h := m.node.health
	h.trials = max(1, h.trials+1)
	h.trial = h.trials
	c.afterLocked(m.node, c.cfg.TrialLease, func() { c.halfOpenLocked(m.node, "") })
	c.rebuildLocked(ctx)
	return m, h.trial
}

// onTrial reports whether a node's trial is that one. If not, another has its place.
func (h *health) onTrial(trial uint32) bool {
	return trial != 0 && h.out == HalfOpen && h.trial == trial
}

// readmitLocked takes a node back in after a good trial.
func (c *core) readmitLocked(ctx context.Context, n *node, trial uint32) {
	h := n.health
	h.out, h.trial, h.passed, h.backAt = Healthy, 0, trial, c.now()
	n.row.Store(0)
	n.forgive(h.backAt, c.meanLocked(h.backAt, n))
	c.rampLocked(ctx, n, "its trial succeeded")
	c.rebuildLocked(ctx)
}

// rampLocked starts the slow start of a node.
func (c *core) rampLocked(ctx context.Context, n *node, why string) {
	if c.cfg.SlowStart > 0 {
		now := c.now()
		n.health.from.Store(now)
		n.health.until.Store(now + int64(c.cfg.SlowStart))
		c.afterLocked(n, c.cfg.SlowStart, func() { c.rampedLocked(n) })
	}
	c.noteLocked(ctx, n, why)
}

// rampedLocked ends the slow start of a node. If it was the last, picks become simpler.
func (c *core) rampedLocked(n *node) {
	c.noteLocked(context.Background(), n, "its slow start is over")
	now := c.now()
	if !slices.ContainsFunc(c.all, func(m member) bool { return m.node.ramping(now) }) {
		c.rebuildLocked(context.Background())
	}
}

func (n *node) ramping(now int64) bool { return now < n.health.until.Load() }
