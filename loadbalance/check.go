package loadbalance

import (
	"context"
	"math/rand/v2"
)

// Check starts active checks: check is called for each endpoint, every
// Config.CheckEvery, and returns nil if the endpoint is well. Each endpoint has a
// goroutine for its checks, which ends with [Balancer.Close], or when the endpoint
// leaves the set. Only the first call has an effect.
func (b *Balancer[T]) Check(check func(context.Context, T) error) {
	c := &b.core
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.check == nil {
		c.check = func(ctx context.Context, e any) error { return check(ctx, e.(*Endpoint[T]).Value) }
		c.startChecksLocked()
	}
}

// startChecksLocked starts those of the nodes that have none.
func (c *core) startChecksLocked() {
	if c.check == nil || c.ctx.Err() != nil {
		return
	}
	for _, m := range c.all {
		if h := m.node.health; h.stopCheck == nil {
			ctx, cancel := context.WithCancel(c.ctx)
			h.stopCheck = cancel
			go c.checks(ctx, m.node)
		}
	}
}

// checks checks a node again and again. The first time is anywhere in the interval,
// so that not all endpoints are checked at once.
func (c *core) checks(ctx context.Context, n *node) {
	for d := rand.N(c.cfg.CheckEvery); sleep(ctx, d, nil); d = jitter(c.cfg.CheckEvery, 0.1) {
		c.mu.Lock()
		endpoint := n.health.endpoint
		c.mu.Unlock()
		err := c.checkOnce(ctx, endpoint)
		c.checked(ctx, n, err)
	}
}

func (c *core) checkOnce(ctx context.Context, endpoint any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CheckTimeout)
	defer cancel()
	return c.check(ctx, endpoint)
}

// checked takes in the result of a check.
func (c *core) checked(ctx context.Context, n *node, err error) {
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	h := n.health
	if ctx.Err() != nil || h.gone {
		return
	}
	if err != nil {
		h.passes = 0
		h.fails++
		if h.fails >= c.cfg.CheckFailures {
			h.unhealthy = true
			c.noteLocked(ctx, n, withError("its checks fail", err))
			c.rebuildLocked(ctx)
		}
		return
	}
	h.fails = 0
	h.passes++
	if !h.unhealthy || h.passes < c.cfg.CheckPasses {
		return
	}
	h.unhealthy = false
	if h.out == Healthy {
		c.rampLocked(ctx, n, "its checks pass again")
	} else {
		c.noteLocked(ctx, n, "its checks pass again")
	}
	c.rebuildLocked(ctx)
}
