package loadbalance

import (
	"context"
	"math"
	"slices"
	"time"
)

// A ramp is the slow start of a node, until the given time. It is over sooner if the
// node has another until by then.
type ramp struct {
	node  *node
	until int64
}

func (r ramp) lasts() bool { return r.node.health.until.Load() == r.until && r.node.health.counted.up }

// rampLocked starts the slow start of a node. All that start together end together, by
// one timer.
func (c *core) rampLocked(ctx context.Context, n *node, now int64, why string) {
	if c.cfg.SlowStart > 0 {
		until := now + min(int64(c.cfg.SlowStart), math.MaxInt64/2)
		n.health.from.Store(now)
		n.health.until.Store(until)
		c.ramps = append(c.ramps, ramp{n, until})
		if len(c.ramps) == 1 {
			time.AfterFunc(c.cfg.SlowStart, c.endRamps)
		}
	}
	c.noteLocked(ctx, n, why)
}

// endRamps ends the slow starts whose time is over.
func (c *core) endRamps() {
	defer c.deliverApart()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	now := c.now()
	for len(c.ramps) > 0 && c.ramps[0].until <= now {
		if r := c.ramps[0]; r.lasts() {
			c.noteLocked(context.Background(), r.node, "its slow start is over")
		}
		c.ramps = c.ramps[1:]
	}
	if len(c.ramps) > 0 {
		time.AfterFunc(time.Duration(c.ramps[0].until-now), c.endRamps)
	} else {
		c.ramps = nil
	}
	c.publishLocked(context.Background())
}

// leadLocked returns when the first of the slow starts that go on has begun, and whether
// all of them have begun then.
func (c *core) leadLocked() (from int64, together bool) {
	first := slices.IndexFunc(c.ramps, ramp.lasts)
	if first < 0 {
		return 0, false
	}
	last := len(c.ramps) - 1
	for !c.ramps[last].lasts() {
		last--
	}
	return c.ramps[first].node.health.from.Load(), c.ramps[first].until == c.ramps[last].until
}

// passesOver reports whether a node is passed over this time: one in its slow start has
// only a part of what the policy would give it. If all of them are in their slow start,
// that is in relation to the one that began first.
func (v View) passesOver(n *node) bool {
	from, until := n.health.from.Load(), n.health.until.Load()
	if v.now >= until || from == v.s.lead {
		return false
	}
	length := float64(until - from)
	share, most := max(0.1, float64(v.now-from)/length), 1.0
	if v.s.lead != 0 {
		most = min(1, max(0.1, float64(v.now-v.s.lead)/length))
	}
	return v.chance()*most >= share
}

func (n *node) ramping(now int64) bool { return now < n.health.until.Load() }
