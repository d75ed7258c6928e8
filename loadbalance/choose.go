package loadbalance

import (
	"context"
	"errors"
	"slices"
)

// A Hint says where a pick should go.
type Hint struct {
	// Prefer has the keys of endpoints of which one is picked if it is healthy, and
	// no attempt of the call has been there.
	Prefer []string
	// Exclude has the keys of endpoints that are not picked.
	Exclude []string
}

var errExcluded = errors.New("all of them are excluded")

// choice is a pick in the making, when more than the policy decides.
type choice struct {
	s       *snapshot
	now     int64
	hint    Hint
	tried   []*node // by the attempts of the call, the last one last
	hard    bitset  // excluded, or full
	soft    bitset  // better not
	full    bool    // one was full
	relaxed int     // how much of soft has been given up
}

// choose picks a member, and begins a call to it.
func (s *snapshot) choose(now int64, h Hint, tried []*node) (member, error) {
	c := choice{s: s, now: now, hint: h, tried: tried}
	n := len(s.members)
	c.exclude()
	c.soften()
	for {
		if c.hard.len() == n {
			return c.leftovers()
		}
		skip := c.hard.or(c.soft)
		if skip.len() == n {
			c.relaxed++
			c.soften()
			continue
		}
		i := c.next(skip)
		m := s.members[i]
		if c.relaxed < 2 && s.ramping && !s.ramped(m.node, now) {
			c.soft.add(i, n)
			continue
		}
		if !m.node.begin(s.core.start(now), s.core.cfg.MaxInFlight) {
			c.full = true
			c.hard.add(i, n)
			continue
		}
		return m, nil
	}
}

// next asks the policy, and does not believe it.
func (c *choice) next(skip bitset) int {
	v := View{s: c.s, now: c.now}
	if skip != nil {
		v.skip = new(skip)
	}
	i := c.s.policy.Next(v)
	if i < 0 || i >= v.Len() || v.Skip(i) {
		i = v.best(v.load)
	}
	return i
}

func (c *choice) exclude() {
	if len(c.hint.Exclude) == 0 {
		return
	}
	for i, m := range c.s.members {
		if slices.Contains(c.hint.Exclude, m.node.key) {
			c.hard.add(i, len(c.s.members))
		}
	}
}

// soften says which members had better not be picked. When that leaves none, first
// the preference is given up, then all the tried ones but the last, and the slow
// start, then all.
func (c *choice) soften() {
	c.soft = nil
	if c.relaxed == 0 && len(c.hint.Prefer) > 0 {
		for i, m := range c.s.members {
			if !slices.Contains(c.hint.Prefer, m.node.key) {
				c.soft.add(i, len(c.s.members))
			}
		}
	}
	tried := c.tried
	if len(tried) > 0 && c.relaxed == 2 {
		tried = tried[len(tried)-1:]
	}
	if len(tried) > 0 && c.relaxed < 3 {
		for i, m := range c.s.members {
			if slices.Contains(tried, m.node) {
				c.soft.add(i, len(c.s.members))
			}
		}
	}
}

// rampedLocked reports whether a node may have this pick: one in its slow start has only
// a part of what the policy would give it.
func (s *snapshot) ramped(n *node, now int64) bool {
	from, until := n.health.from.Load(), n.health.until.Load()
	if now >= until {
		return true
	}
	share := max(0.1, float64(now-from)/float64(until-from))
	return float64(View{s: s}.Rand()>>11)*0x1p-53 < share
}

// leftovers picks among all endpoints when none of the members can be. Full is full,
// but an endpoint that is not healthy is better than none.
func (c *choice) leftovers() (member, error) {
	if c.full {
		return member{}, &Error{Name: c.s.core.cfg.Name, Err: ErrOverloaded}
	}
	rest := slices.DeleteFunc(slices.Clone(c.s.all), func(m member) bool { return slices.Contains(c.hint.Exclude, m.node.key) })
	if len(rest) == 0 {
		return member{}, &Error{Name: c.s.core.cfg.Name, Err: ErrNoEndpoints, Cause: errExcluded}
	}
	return c.s.core.snapshot(rest, leastLoaded{}).choose(c.now, Hint{}, c.tried)
}

// pick is Pick for all but the simplest case.
func (b *Balancer[T]) pick(ctx context.Context, h Hint) (Pick[T], error) {
	c := &b.core
	call, endpoint, err := c.pick(ctx, h)
	if err != nil {
		if c.cfg.Observe != nil {
			c.cfg.Observe(ctx, Event{Kind: Refused, Name: c.cfg.Name, Err: err})
		}
		return Pick[T]{}, err
	}
	return Pick[T]{call: call, endpoint: endpoint.(*Endpoint[T])}, nil
}

func (c *core) pick(ctx context.Context, h Hint) (call, any, error) {
	s, err := c.wait(ctx)
	if err != nil {
		return call{}, nil, err
	}
	var now int64
	if c.timed || s.ramping {
		now = c.now()
	}
	start := c.start(now)
	a, _ := ctx.Value(spreadKey{}).(*visits)
	tried := a.of(c)
	if len(s.trials) > 0 && len(tried) == 0 && len(h.Prefer)+len(h.Exclude) == 0 && c.turn(s) {
		if m, trial := c.takeTrial(ctx, start); trial != 0 {
			a.add(m.node)
			return call{node: m.node, start: start, trial: trial}, m.endpoint, nil
		}
	}
	m, err := s.choose(now, h, tried)
	if err != nil {
		return call{}, nil, err
	}
	a.add(m.node)
	return call{node: m.node, start: start}, m.endpoint, nil
}

// turn reports whether this pick begins a trial: after as many others as there are
// members. The first calls after a silence may be the probes of a breaker above,
// which must not all fall to endpoints that have failed.
func (c *core) turn(s *snapshot) bool {
	return len(s.members) == len(s.all) || c.turns.Add(1) > int64(len(s.members))
}

// wait returns the snapshot, and waits for the first one.
func (c *core) wait(ctx context.Context) (*snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Name: c.cfg.Name, Err: err, Cause: context.Cause(ctx)}
	}
	select {
	case <-c.ready:
	default:
		select {
		case <-c.ready:
		case <-c.ctx.Done():
		case <-ctx.Done():
			return nil, &Error{Name: c.cfg.Name, Err: ErrNoEndpoints, Cause: context.Cause(ctx)}
		}
	}
	if c.ctx.Err() != nil {
		return nil, &Error{Name: c.cfg.Name, Err: ErrClosed}
	}
	if s := c.current.Load(); s != nil {
		return s, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return nil, &Error{Name: c.cfg.Name, Err: ErrNoEndpoints, Cause: c.err}
}
