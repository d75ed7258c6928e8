package loadbalance

import (
	"context"
	"errors"
	"sync"
)

// A Hint says where a pick should go. The zero value says nothing.
type Hint struct {
	// Prefer has the keys of endpoints of which one is picked, as long as one of them
	// is healthy and no other attempt of the call has been there. A long list is
	// looked up once: keep the slice, and do not change it. Calls leave a zone that is
	// down only if Config.MaxEjected leaves room for all of it: 0.5 with two zones.
	Prefer []string
	// Exclude has the keys of endpoints that are not picked.
	Exclude []string
	// Hash is for policies that send equal hashes to the same endpoint, such as a
	// table. [Hash] and [HashUint64] make one; 0 means none.
	Hash uint64
}

var errExcluded = errors.New("all of them are excluded")

// choice is a pick in the making, when more than the policy decides.
type choice struct {
	s      *snapshot
	now    int64
	hint   Hint
	tried  []*node    // by the attempts of the call, the last one last
	own    population // to change
	passed int        // over, because of their slow start
	full   int        // how many were
}

var choices = sync.Pool{New: func() any { return new(choice) }}

// What a pick gives up, step by step, when nothing is left.
const (
	preferring = iota // one that is preferred, and that no attempt has tried
	untried           // one that no attempt has tried
	another           // one that the last attempt has not tried
	available         // one that is available
	anyone            // one that is not excluded
	refused
)

// choose picks a member, and begins a call to it.
func (s *snapshot) choose(now int64, h Hint, visited *visits) (member, error) {
	c := choices.Get().(*choice)
	defer c.free()
	c.s, c.now, c.hint = s, now, h
	c.tried = visited.of(s.core, c.tried[:0])
	for step := c.first(); step < refused; step++ {
		if step == anyone && c.full > 0 {
			break // full is full, but one that is not healthy is better than none
		}
		if m, ok := c.among(c.narrow(step)); ok {
			return m, nil
		}
	}
	if c.full > 0 {
		return member{}, &Error{Name: s.core.cfg.Name, Err: ErrOverloaded}
	}
	return member{}, &Error{Name: s.core.cfg.Name, Err: ErrNoEndpoints, Cause: errExcluded}
}

func (c *choice) free() {
	*c = choice{tried: c.tried[:0], own: c.own}
	clear(c.tried[:cap(c.tried)])
	choices.Put(c)
}

func (c *choice) first() int {
	switch {
	case len(c.hint.Prefer) > 0:
		return preferring
	case len(c.tried) > 0:
		return untried
	}
	return available
}

// narrow returns those that a step may pick, nil for all.
func (c *choice) narrow(step int) *population {
	from, tried := c.s.up, c.tried
	switch step {
	case preferring:
		from = c.s.preferred(c.hint.Prefer, &c.own)
	case another:
		tried = tried[max(0, len(tried)-1):]
	case available:
		tried = nil
	case anyone:
		from, tried = nil, nil
	}
	if len(c.hint.Exclude)+len(tried) == 0 {
		return from
	}
	c.take(from)
	for _, key := range c.hint.Exclude {
		if i, ok := c.s.index[key]; ok {
			c.own.remove(i)
		}
	}
	for _, n := range tried {
		if i, ok := c.s.index[n.name]; ok {
			c.own.remove(i)
		}
	}
	return &c.own
}

// take makes own the same as from.
func (c *choice) take(from *population) {
	switch from {
	case nil:
		c.own.reset(len(c.s.nodes), true)
	case &c.own:
	default:
		c.own.copy(from)
	}
}

// maxPassed bounds how many are passed over because of their slow start.
const maxPassed = 8

// among picks one of from, if there is one that is not full.
func (c *choice) among(from *population) (member, bool) {
	s := c.s
	for {
		v := View{s: s, from: from, hash: c.hint.Hash, now: c.now}
		left := v.count()
		if left == 0 {
			return member{}, false
		}
		i := s.ask(v)
		m := s.members[i]
		pass := s.ramping && left > 1 && c.passed < maxPassed && v.passesOver(m.node)
		if !pass && m.node.begin(s.core.start(c.now), s.core.cfg.MaxInFlight) {
			return m, true
		}
		c.take(from)
		from = &c.own
		switch {
		case pass:
			c.passed++
			from.remove(i)
		case c.full < maxPassed:
			c.full++
			from.remove(i)
		default:
			c.withoutFull()
		}
	}
}

// withoutFull removes all that are full from own.
func (c *choice) withoutFull() {
	for i, n := range c.s.nodes {
		if c.own.has(i) && n.inFlight() >= c.s.core.cfg.MaxInFlight {
			c.own.put(i, false)
		}
	}
	c.own.sum()
}

// ask asks the policy, and does not believe it.
func (s *snapshot) ask(v View) int {
	i := s.policy.Next(v)
	if uint(i) >= uint(len(s.nodes)) || v.Skip(i) {
		return p2c{}.Next(v)
	}
	return i
}

// pick is Pick for all but the simplest case. It refuses, or begins a call.
func (b *Balancer[T]) pick(ctx context.Context, h Hint) (Pick[T], error) {
	c := &b.core
	call, endpoint, err := c.pick(ctx, h)
	if err != nil {
		if c.refused.Add(1); c.cfg.Observe != nil {
			c.cfg.Observe(ctx, Event{Kind: Refused, Name: c.cfg.Name, Err: err})
		}
		return Pick[T]{}, err
	}
	return Pick[T]{call: call, endpoint: endpoint.(*Endpoint[T])}, nil
}

func (c *core) pick(ctx context.Context, h Hint) (call, any, error) {
	visited, _ := ctx.Value(spreadKey{}).(*visits)
	for {
		s, err := c.wait(ctx)
		if err != nil {
			return call{}, nil, err
		}
		var now int64
		if c.timed || s.ramping {
			now = c.now()
		}
		if c.turn(s) {
			if m, trial := c.takeTrial(ctx, s, now, h, visited); trial != 0 {
				visited.add(m.node)
				return call{node: m.node, start: c.start(now), trial: trial}, m.endpoint, nil
			}
		}
		m, err := s.choose(now, h, visited)
		if err != nil {
			return call{}, nil, err
		}
		if m.node.special.Load()&leaving != 0 {
			c.giveBack(ctx, m.node, c.start(now))
			continue // by a newer snapshot
		}
		visited.add(m.node)
		return call{node: m.node, start: c.start(now)}, m.endpoint, nil
	}
}

// giveBack ends a call to a node that has left while it was picked: its Value may be
// closed already. The lock makes sure that there is a newer snapshot afterwards.
func (c *core) giveBack(ctx context.Context, n *node, start int64) {
	n.takeBack(start)
	c.drained(ctx, n)
}

// wait returns the snapshot, and waits for the first one.
func (c *core) wait(ctx context.Context) (*snapshot, error) {
	if c.ready == nil {
		return nil, &Error{Err: ErrNoEndpoints, Cause: errNotMade}
	}
	if err := ctx.Err(); err != nil {
		return nil, &Error{Name: c.cfg.Name, Err: err, Cause: context.Cause(ctx)}
	}
	if s := c.current.Load(); s != nil && !s.closed {
		return s, nil
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
