package loadbalance

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

var errEmpty = errors.New("loadbalance: the set of endpoints is empty")

// The pause before a source is watched again.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
)

// watch follows a source until its last set is final, or the Balancer is closed.
func (b *Balancer[T]) watch(src Source[T]) {
	c := &b.core
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		begun := c.now()
		err := src.Watch(c.ctx, b.set)
		if err == nil || c.ctx.Err() != nil {
			return
		}
		b.set(nil, err)
		if c.now()-begun > int64(maxPause) {
			pause = minPause
		}
		if !sleep(c.ctx, jitter(pause, 0.5), nil) {
			return
		}
	}
}

// sleep waits, until it is woken or ctx ends, and then reports false.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// jitter returns d, give or take up to a part of it.
func jitter(d time.Duration, part float64) time.Duration {
	return d + time.Duration(float64(d)*part*(2*rand.Float64()-1))
}

// set takes in a set of endpoints, or the error in its place.
func (b *Balancer[T]) set(set []Endpoint[T], err error) {
	c := &b.core
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	if err == nil && len(set) == 0 {
		err = errEmpty
	}
	if err = cmp.Or(err, checkSet(set)); err != nil {
		c.tellLocked(context.Background(), Event{Kind: SourceFailed, Err: err})
	} else {
		b.replaceLocked(set)
	}
	c.err = err
	if !c.heard {
		c.heard = true
		close(c.ready)
	}
}

// replaceLocked makes set the set of endpoints.
func (b *Balancer[T]) replaceLocked(set []Endpoint[T]) {
	c := &b.core
	ctx := context.Background()
	known := map[string]*node{}
	for _, n := range c.left {
		known[n.key] = n
	}
	for _, m := range c.all {
		known[m.node.key] = m.node
	}
	first, now := len(c.all) == 0, c.now()
	mean := c.meanLocked(now, nil)
	before := c.all
	c.all = make([]member, len(set))
	stays := make(map[*node]bool, len(set))
	var joined []*node
	for i, e := range set {
		n := known[e.Key]
		if n == nil {
			n = newNode(c, e.Key, now)
			n.assume(mean, now)
			joined = append(joined, n)
		}
		e := new(e)
		n.health.endpoint = e
		stays[n] = true
		weight := cmp.Or(e.Weight, 1)
		c.all[i] = member{node: n, endpoint: e, weight: weight, inverse: 1 / weight}
	}
	c.comeLocked(ctx, stays)
	for _, m := range before {
		if !stays[m.node] {
			c.leaveLocked(ctx, m.node)
		}
	}
	c.forgetLocked(now)
	if !first {
		for _, n := range joined {
			c.rampLocked(ctx, n, "it has joined")
		}
	}
	c.rebuildLocked(ctx)
	c.startChecksLocked()
	c.tellLocked(ctx, Event{Kind: Updated, Size: len(set)})
}

// What is remembered of endpoints that have left, as some come back.
const (
	rememberFor  = 5 * time.Minute
	rememberMost = 1024
)

// comeLocked takes back those in a new set that had left.
func (c *core) comeLocked(ctx context.Context, stays map[*node]bool) {
	left := c.left[:0]
	for _, n := range c.left {
		if !stays[n] {
			left = append(left, n)
			continue
		}
		n.health.gone, n.health.drained = false, false
		c.noteLocked(ctx, n, "it is in the set again")
	}
	clear(c.left[len(left):])
	c.left = left
}

// leaveLocked lets a node drain.
func (c *core) leaveLocked(ctx context.Context, n *node) {
	h := n.health
	h.gone, h.leftAt = true, c.now()
	c.left = append(c.left, n)
	if h.stopCheck != nil {
		h.stopCheck()
		h.stopCheck = nil
	}
	c.noteLocked(ctx, n, "it is not in the set any more")
	c.checkDrainedLocked(ctx, n)
}

// checkDrainedLocked tells that a node that has left has no call in flight any more.
func (c *core) checkDrainedLocked(ctx context.Context, n *node) {
	if h := n.health; h.gone && !h.drained && n.inFlight() == 0 {
		h.drained = true
		for _, f := range c.drains {
			f(n)
		}
		c.tellLocked(ctx, Event{Kind: Drained, Key: n.key, Value: c.value(h.endpoint)})
	}
}

// drained is checkDrainedLocked for the end of a call.
func (c *core) drained(ctx context.Context, n *node) {
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkDrainedLocked(ctx, n)
}

// forgetLocked drops those that left long ago.
func (c *core) forgetLocked(now int64) {
	left := c.left[:0]
	for i, n := range c.left {
		recent := now-n.health.leftAt < int64(rememberFor) && i >= len(c.left)-rememberMost
		if recent || !n.health.drained {
			left = append(left, n)
		}
	}
	clear(c.left[len(left):])
	c.left = left
}
