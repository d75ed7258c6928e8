package loadbalance

import "context"

// A Pick is an endpoint that was picked, and a call in flight to it until
// [Pick.Done]. The zero Pick is of nothing, and its methods do nothing. A Pick must not be
// copied, which go vet reports, and is not safe for concurrent use.
type Pick[T any] struct {
	_        noCopy
	call     call
	endpoint *Endpoint[T]
}

// noCopy makes go vet report copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// call is the part of a Pick that does not depend on the type of the endpoint.
type call struct {
	node     *node  // nil: done
	start    int64  // 0 if the latency does not matter
	trial    uint32 // 0 if it is none
	row      uint32 // of failures, that its answer has ended
	answered bool
	said     Outcome // by the answer
}

// Endpoint returns what was picked; the zero Endpoint if nothing was.
func (p *Pick[T]) Endpoint() (e Endpoint[T]) {
	if p.endpoint != nil {
		e = *p.endpoint
	}
	return e
}

// Value returns the value of the endpoint.
func (p *Pick[T]) Value() (v T) {
	if p.endpoint != nil {
		v = p.endpoint.Value
	}
	return v
}

// Answered says how the endpoint has answered, while the call goes on: a body that the
// caller still reads, a stream. The latency ends here; the call stays in flight until
// Done. A success counts at once; after it Done changes something only if it says
// Failure. Ignored means that it is not known yet, and leaves it to Done. Only the
// first Answered counts.
func (p *Pick[T]) Answered(r Result) { p.call.answer(context.Background(), &r) }

// Done ends the call and says what it came to. Only the first Done on a variable counts;
// one on a copy as well is a mistake, and panics if no other call is in flight to the
// endpoint. A Pick
// without a Done is in flight for ever; defer a Done(Result{Outcome: Failure}) against
// panics.
func (p *Pick[T]) Done(r Result) { p.call.done(context.Background(), &r) }

func (c *call) answer(ctx context.Context, r *Result) {
	n := c.node
	if n == nil || c.answered {
		return
	}
	c.answered = true
	n.answer(c.start)
	c.said = c.outcome(ctx, n, r)
	if c.said != Ignored {
		c.report(ctx, n, c.said, r, true)
	} else if now, rtt := c.timed(n, r); rtt >= 0 && !n.known(now, rtt) {
		n.learn(now, rtt, Default)
	}
}

func (c *call) done(ctx context.Context, r *Result) {
	n := c.node
	if n == nil {
		return
	}
	c.node = nil // first: Classify may panic
	if !c.answered {
		n.end(c.start)
		if c.start != 0 || r.Err != nil || r.Outcome > Success || r.Latency != 0 || n.special.Load() != 0 || n.core.cfg.Classify != nil {
			o := c.outcome(ctx, n, r)
			n.core.count(n, o)
			c.report(ctx, n, o, r, true)
		}
		return
	}
	n.endAnswered()
	if o := c.outcome(ctx, n, r); c.said == Ignored || c.said == Success && o == Failure {
		n.core.count(n, o)
		c.report(ctx, n, o, r, false)
		return
	}
	n.core.count(n, c.said)
	if n.special.Load()&leaving != 0 {
		n.core.drained(ctx, n)
	}
}

func (c *call) outcome(ctx context.Context, n *node, r *Result) Outcome {
	if r.Outcome != Default {
		return r.Outcome
	}
	return n.core.outcome(ctx, r.Err)
}

// report takes in a result, and how long it took if it is timed.
func (c *call) report(ctx context.Context, n *node, o Outcome, r *Result, timed bool) {
	now, rtt := int64(0), int64(-1)
	if timed {
		now, rtt = c.timed(n, r)
	}
	if o != Success || n.special.Load() != 0 {
		if now == 0 {
			now = n.core.now()
		}
		n.core.settle(ctx, n, now, rtt, c, o, r)
	} else if rtt >= 0 && !n.known(now, rtt) {
		n.learn(now, rtt, Success)
	}
}

// timed returns the time and the latency of r, less than 0 if it is not known.
func (c *call) timed(n *node, r *Result) (now, rtt int64) {
	switch {
	case r.Latency > 0:
		return n.core.now(), int64(r.Latency)
	case c.start != 0:
		now = n.core.now()
		return now, now - c.start
	}
	return 0, -1
}
