package loadbalance

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// health is the part of a node that is guarded by core.mu, but for what is atomic.
type health struct {
	from, until atomic.Int64 // slow start
	tally

	endpoint any    // its last
	told     State  // last
	since    int64  // told
	why      string // told

	counted counted // what it counts as

	out     State  // Healthy, HalfOpen, Cooling or Ejected
	trial   uint32 // the sequence of the running trial, 0 if there is none
	trials  uint64 // begun so far
	passed  uint32 // the sequence of the trial that has brought it back
	ejected uint64 // so many times so far
	streak  int    // ejections without a healthy time in between
	outFor  time.Duration
	backAt  int64 // of the last return

	unhealthy     bool // its active checks fail
	fails, passes int  // of them, in a row
	stopCheck     context.CancelFunc

	stays         *set // the last one that it is in
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

func (h *health) stopTimerLocked() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// What is special about a node, so that the end of a call is more than a count.
const (
	failing uint32 = 1 << iota // it has failures to forget
	away                       // it is not Healthy
	leaving                    // it is not in the set
)

// mark sets or clears a bit of special.
func (n *node) mark(bit uint32, on bool) {
	switch set := n.special.Load()&bit != 0; {
	case set == on: // as nearly always
	case on:
		n.special.Or(bit)
	default:
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
	c.countLocked(n)
	if s := n.stateLocked(now); s != h.told {
		c.tellLocked(ctx, Event{Kind: Changed, Key: n.name, Value: c.value(h.endpoint), From: h.told, To: s, Reason: why})
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
	h.stopTimerLocked()
	h.timer = time.AfterFunc(d, func() {
		defer c.deliverApart()
		c.mu.Lock()
		defer c.mu.Unlock()
		if h.turn == turn && c.ctx.Err() == nil {
			f()
		}
	})
}

// countLocked takes in that the state of a node has changed, which picks learn with the
// next publishLocked.
func (c *core) countLocked(n *node) {
	h := n.health
	was, now := h.counted, h.countsLocked(c.now())
	if was == now {
		return
	}
	h.counted = now
	c.changed = true
	c.out.Add(one(now.out) - one(was.out))
	c.ramping += int(one(now.ramping) - one(was.ramping))
	if i, ok := c.set.index[n.name]; ok && c.set.nodes[i] == n {
		c.up.put(i, now.up)
	}
	if now.due {
		if len(c.due) == 0 {
			c.turns.Store(0)
		}
		c.due = append(c.due, n)
	} else if was.due {
		c.due = slices.DeleteFunc(c.due, func(o *node) bool { return o == n })
	}
}

// counted is what a node counts as.
type counted struct {
	out     bool // Ejected, Cooling or HalfOpen
	up      bool // available
	ramping bool // and in its slow start
	due     bool // HalfOpen, and without a trial
}

func (h *health) countsLocked(now int64) counted {
	if h.gone {
		return counted{}
	}
	up := h.available()
	return counted{
		out:     h.out != Healthy,
		up:      up,
		ramping: up && now < h.until.Load(),
		due:     h.out == HalfOpen && h.trial == 0 && !h.unhealthy,
	}
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// maxOut is how many of n endpoints may be out: ejected, cooling or half-open.
func (c *core) maxOut(n int) int64 {
	if n < 2 {
		return 0
	}
	return max(1, int64(c.cfg.MaxEjected*float64(n)))
}

// room reports whether one more may be out, without the lock.
func (c *core) room() bool {
	s := c.current.Load()
	return s != nil && c.out.Load() < c.maxOut(len(s.nodes))
}

// ejectLocked takes a node out of the set, if enough others are left.
func (c *core) ejectLocked(ctx context.Context, n *node, why string) {
	if c.room() {
		c.ejectAgainLocked(ctx, n, why)
	}
}

// coolLocked takes a node out of the set for as long as it has asked, if enough others
// are left or it is out already.
func (c *core) coolLocked(ctx context.Context, n *node, r *Result) {
	if n.health.out != Healthy || c.room() {
		d := min(r.RetryAfter, c.cfg.MaxEjectFor)
		c.takeOutLocked(ctx, n, Cooling, d, withError("overloaded", r.Err))
	}
}

// ejectAgainLocked is for a node that has failed its trial, however many are out.
func (c *core) ejectAgainLocked(ctx context.Context, n *node, why string) {
	h := n.health
	if h.out == Healthy && c.now()-h.backAt >= int64(h.outFor) {
		h.streak = 0
	}
	d := c.cfg.MaxEjectFor
	if n := min(h.streak, 62); c.cfg.EjectFor <= d>>n {
		d = c.cfg.EjectFor << n
	}
	h.streak++
	h.ejected++
	c.ejected++
	c.takeOutLocked(ctx, n, Ejected, d, why)
}

// takeOutLocked takes a node out of the set for a time, after which it is half-open.
func (c *core) takeOutLocked(ctx context.Context, n *node, out State, d time.Duration, why string) {
	h := n.health
	h.out, h.outFor, h.trial = out, d, 0
	h.until.Store(0)
	c.afterLocked(n, d, func() { c.halfOpenLocked(n, fmt.Sprintf("%v for %v: %s", out, d, why)) })
	c.noteLocked(ctx, n, why)
	c.publishLocked(ctx)
}

// halfOpenLocked lets a node have a trial.
func (c *core) halfOpenLocked(n *node, why string) {
	ctx := context.Background()
	n.health.out, n.health.trial = HalfOpen, 0
	c.noteLocked(ctx, n, why)
	c.publishLocked(ctx)
}

// readmitLocked takes a node back in after a good trial.
func (c *core) readmitLocked(ctx context.Context, n *node, trial uint32) {
	h := n.health
	h.out, h.trial, h.passed, h.backAt = Healthy, 0, trial, c.now()
	n.row.Store(0)
	n.forgive(h.backAt, float32(c.typical(h.backAt, n)))
	c.rampLocked(ctx, n, h.backAt, "its trial succeeded")
	c.publishLocked(ctx)
}
