package loadbalance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Check starts active checks: check is called for each endpoint, every
// Config.CheckEvery, and returns nil if the endpoint is well. A check that has not
// returned after Config.CheckTimeout has failed, whatever it does with its context; the
// next one begins only when it has returned, and fails until then. Each endpoint has a
// goroutine for its checks, which ends with [Balancer.Close], or when the endpoint
// leaves the set. Only the first call has an effect.
//
// A check that calls runtime.Goexit has failed. So has one that panics, if Config.Observe
// is set; otherwise the panic ends the program, as that of any goroutine.
func (b *Balancer[T]) Check(check func(context.Context, T) error) {
	c := &b.core
	if c.ready == nil {
		panic("loadbalance: Check: " + notMade)
	}
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
	if c.check == nil || c.ctx.Err() != nil || c.set == nil {
		return
	}
	for _, n := range c.set.nodes {
		if h := n.health; h.stopCheck == nil {
			ctx, cancel := context.WithCancel(c.ctx)
			h.stopCheck = cancel
			go c.checks(ctx, n)
		}
	}
}

// checks checks a node again and again. The first time is anywhere in the interval,
// so that not all endpoints are checked at once.
func (c *core) checks(ctx context.Context, n *node) {
	var running <-chan error // of a check that is late
	for d := rand.N(c.cfg.CheckEvery); sleep(ctx, d, nil); d = jitter(c.cfg.CheckEvery, 0.1) {
		select {
		case <-running:
			running = nil
		default:
		}
		if running == nil {
			running = c.startCheck(ctx, n)
		}
		timeout := time.NewTimer(c.cfg.CheckTimeout)
		select {
		case err := <-running:
			running = nil
			c.checked(ctx, n, err)
		case <-timeout.C:
			c.checked(ctx, n, fmt.Errorf("no answer within %v: %w", c.cfg.CheckTimeout, context.DeadlineExceeded))
		case <-ctx.Done():
		}
		timeout.Stop()
	}
}

// startCheck begins a check.
func (c *core) startCheck(ctx context.Context, n *node) <-chan error {
	c.mu.Lock()
	defer c.mu.Unlock()
	endpoint := n.health.endpoint
	return c.launch(func() error {
		ctx, cancel := context.WithTimeout(ctx, c.cfg.CheckTimeout)
		defer cancel()
		return c.check(ctx, endpoint)
	})
}

// checked takes in the result of a check.
func (c *core) checked(ctx context.Context, n *node, err error) {
	defer c.deliverApart()
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
			h.until.Store(0) // a slow start begins anew afterwards
			c.noteLocked(ctx, n, withError("its checks fail", err))
			c.publishLocked(ctx)
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
		c.rampLocked(ctx, n, c.now(), "its checks pass again")
	} else {
		c.noteLocked(ctx, n, "its checks pass again")
	}
	c.publishLocked(ctx)
}
