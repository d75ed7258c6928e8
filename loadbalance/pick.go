package loadbalance

import "context"

// A Pick is an endpoint that was picked, and a call in flight to it until
// [Pick.Done].
type Pick[T any] struct {
	call     call
	endpoint *Endpoint[T]
}

// call is the part of a Pick that does not depend on the type of the endpoint.
type call struct {
	node     *node  // nil: done
	start    int64  // 0 if the latency does not matter
	trial    uint32 // 0 if it is none
	answered bool
}

// Endpoint returns what was picked.
func (p *Pick[T]) Endpoint() Endpoint[T] { return *p.endpoint }

// Value returns the value of the endpoint.
func (p *Pick[T]) Value() T { return p.endpoint.Value }

// Answered says how the endpoint has answered, where what is still to come depends
// on others as well: a body that the caller reads, a stream. The latency is measured
// until then. The call stays in flight until Done, which may report a failure of
// the rest, or Ignored.
func (p *Pick[T]) Answered(r Result) { p.call.answer(context.Background(), &r) }

// Done says how the call ended. Only the first Done on a Pick counts.
func (p *Pick[T]) Done(r Result) { p.call.done(context.Background(), &r) }

func (c *call) answer(ctx context.Context, r *Result) {
	n := c.node
	if n == nil || c.answered {
		return
	}
	n.open.Add(1)
	n.waiting.Add(-begun(c.start))
	if c.trial == 0 && r.outcome(ctx) == Success {
		c.measure(n, r) // whether it was one will show at its end
	} else {
		c.report(ctx, n, r)
	}
	c.answered = true
}

// measure takes in the latency of a call that has not ended.
func (c *call) measure(n *node, r *Result) {
	if c.start == 0 && r.Latency == 0 {
		return
	}
	now, rtt := n.core.now(), int64(r.Latency)
	if rtt <= 0 {
		rtt = now - c.start
	}
	if !n.known(now, rtt) {
		n.learn(now, rtt, ByError)
	}
}

func (c *call) done(ctx context.Context, r *Result) {
	n := c.node
	if n == nil {
		return
	}
	c.node = nil
	if c.answered {
		n.open.Add(-1)
	} else {
		n.waiting.Add(-begun(c.start))
	}
	if c.start != 0 || r.Err != nil || r.Outcome > Success || r.Latency != 0 || n.special.Load() != 0 {
		c.report(ctx, n, r)
	}
}

// report takes in a result. The latency is that of the first one.
func (c *call) report(ctx context.Context, n *node, r *Result) {
	o := r.outcome(ctx)
	usual := o == Success && n.special.Load() == 0
	if usual && (c.answered || c.start == 0 && r.Latency == 0) {
		return // there is nothing to learn
	}
	now, rtt := n.core.now(), int64(-1)
	switch {
	case c.answered:
	case r.Latency > 0:
		rtt = int64(r.Latency)
	case c.start != 0:
		rtt = now - c.start
	}
	if !usual {
		n.core.settle(ctx, n, now, rtt, c.trial, o, r)
	} else if !n.known(now, rtt) {
		n.learn(now, rtt, Success)
	}
}
