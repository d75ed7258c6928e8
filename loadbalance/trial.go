package loadbalance

import (
	"context"
	"math"
	"slices"
)

// A trial is the call that decides whether an endpoint that was ejected, or has cooled
// down, comes back. Any pick takes it whose hint allows it, when it is its turn.

// trialGap is how many picks go elsewhere before each trial, unless there are fewer
// other endpoints. The first calls after a silence may be the trials of a breaker
// above, which must not all go to endpoints that have failed.
const trialGap = 10

// turn reports whether this pick is to begin a trial.
func (c *core) turn(s *snapshot) bool {
	switch {
	case s.due == 0:
		return false
	case s.panic:
		return true
	}
	up := len(s.nodes)
	if s.up != nil {
		up = s.up.count
	}
	n := c.turns.Add(1)
	return n > int64(min(up, trialGap)) && c.turns.CompareAndSwap(n, 0)
}

// takeTrial begins a call to a node that waits for its trial, and returns the trial's
// number, or 0 if there is none that this pick can take.
func (c *core) takeTrial(ctx context.Context, s *snapshot, now int64, h Hint, visited *visits) (m member, trial uint32) {
	p := trialist{set: s.set, hint: h, tried: visited.of(c, nil)}
	if h.Hash != 0 {
		p.home = s.nodes[s.ask(View{s: s, hash: h.Hash, now: now})]
	}
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.due {
		if p.may(n) && (c.missed || p.is(n)) && n.begin(c.start(now), c.cfg.MaxInFlight) {
			c.missed = false
			return c.set.members[c.set.index[n.name]], c.tryLocked(ctx, n)
		}
	}
	c.missed = len(c.due) > 0 // so the next one need not be meant for it
	return member{}, 0
}

// tryLocked makes a call to a node its trial.
func (c *core) tryLocked(ctx context.Context, n *node) uint32 {
	h := n.health
	h.trials++
	h.trial = uint32(h.trials%math.MaxUint32) + 1 // never 0
	c.afterLocked(n, c.cfg.TrialLease, func() { c.halfOpenLocked(n, "") })
	c.countLocked(n)
	c.publishLocked(ctx)
	return h.trial
}

// A trialist is a pick that could begin a trial.
type trialist struct {
	set   *set
	hint  Hint
	tried []*node
	home  *node // of the hint's hash

	preferred population // of set, made when it is needed
}

// may reports whether it may go to a node.
func (p *trialist) may(n *node) bool {
	return !slices.Contains(p.hint.Exclude, n.name) && !slices.Contains(p.tried, n)
}

// is reports whether it could go to a node if all were well: it is a first attempt, and
// the node is preferred, or the home of its hash.
func (p *trialist) is(n *node) bool {
	switch {
	case len(p.tried) > 0:
		return false
	case len(p.hint.Prefer) > 0:
		if len(p.preferred.words) == 0 {
			p.set.preferred(p.hint.Prefer, &p.preferred)
		}
		i, ok := p.set.index[n.name]
		return ok && p.preferred.has(i)
	case p.home != nil:
		return p.home == n
	}
	return true
}

// onTrial reports whether a node's trial is that one. If not, another has its place.
func (h *health) onTrial(trial uint32) bool {
	return trial != 0 && h.out == HalfOpen && h.trial == trial
}
