package loadbalance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"
)

var (
	errEmpty    = errors.New("loadbalance: the set of endpoints is empty")
	errNoPolicy = errors.New("loadbalance: Builder.Build has returned nil")
	errExited   = errors.New("loadbalance: it has called runtime.Goexit")
)

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
		err := <-c.launch(func() error { return src.Watch(c.ctx, b.takeApart) })
		if err == nil || c.ctx.Err() != nil {
			return
		}
		b.takeApart(nil, err)
		if c.now()-begun > int64(maxPause) {
			pause = minPause
		}
		if !sleep(c.ctx, jitter(pause, 0.5), nil) {
			return
		}
	}
}

// launch calls a function of the user's on a goroutine of its own, and returns what will
// have its error. It is an error to call [runtime.Goexit], and to panic if there is an
// Observe to be told; without one a panic takes its course.
func (c *core) launch(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() {
		err := errExited
		defer func() {
			if c.cfg.Observe != nil && err == errExited {
				if v := recover(); v != nil {
					err = &panicError{v, debug.Stack()}
				}
			}
			result <- err
		}()
		err = f()
	}()
	return result
}

// panicError is a panic of the user's code.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("loadbalance: it has panicked: %v", p.value) }

// LogValue implements [slog.LogValuer]: only a log has room for the stack.
func (p *panicError) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("panic", p.value), slog.String("stack", string(p.stack)))
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

// takeApart is take on goroutines of the balancer's, and of the source's.
func (b *Balancer[T]) takeApart(list []Endpoint[T], err error) {
	defer b.core.deliverApart()
	b.replace(list, err)
}

// take takes in a set of endpoints, or the error in its place.
func (b *Balancer[T]) take(list []Endpoint[T], err error) {
	defer b.core.deliver()
	b.replace(list, err)
}

func (b *Balancer[T]) replace(list []Endpoint[T], err error) {
	c := &b.core
	c.setting.Lock()
	defer c.setting.Unlock()
	var next *set
	if err == nil {
		next, err = b.build(list)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	if c.err = err; err != nil {
		c.tellLocked(context.Background(), Event{Kind: SourceFailed, Err: err})
	} else {
		c.replaceLocked(next)
	}
	if !c.heard {
		c.heard = true
		close(c.ready)
	}
}

// build makes a set of list, while picks go on with the old one. Only one runs at a
// time, which is what makes c.set and c.known safe to read.
func (b *Balancer[T]) build(list []Endpoint[T]) (*set, error) {
	c := &b.core
	if len(list) == 0 {
		return nil, errEmpty
	}
	if err := checkSet(list); err != nil {
		return nil, err
	}
	old, policy := c.set, c.cfg.Policy
	if old != nil {
		policy = old.policy
	}
	now := c.now()
	usual := float32(c.typical(now, nil))
	next := &set{index: make(map[string]int, len(list)), even: true, policy: policy}
	for i, e := range list {
		n := c.known[e.Key]
		if n == nil {
			n = newNode(c, e.Key, now)
			n.assume(usual, now)
		}
		weight := cmp.Or(e.Weight, 1)
		m := member{node: n, endpoint: new(e), weight: weight, inverse: 1 / weight, heft: -math.Log2(weight)}
		next.members = append(next.members, m)
		next.nodes = append(next.nodes, n)
		next.index[e.Key] = i
		next.even = next.even && weight == next.members[0].weight
	}
	if builder, ok := policy.(Builder); ok && (old == nil || !slices.EqualFunc(old.members, next.members, member.same)) {
		if next.policy = builder.Build(View{s: c.view(next), now: now}); next.policy == nil {
			return nil, errNoPolicy
		}
	}
	return next, nil
}

// replaceLocked makes next the set of endpoints.
func (c *core) replaceLocked(next *set) {
	ctx, now := context.Background(), c.now()
	old := c.set
	c.set, c.changed = next, true
	c.up.reset(len(next.nodes), false)
	comes := false
	for i, m := range next.members {
		n := m.node
		comes = comes || n.health.gone
		n.health.stays, n.health.endpoint = next, m.endpoint
		c.up.put(i, n.health.counted.up)
	}
	if comes {
		c.comeLocked(ctx, now)
	}
	if old != nil {
		for _, n := range old.nodes {
			if n.health.stays != next {
				c.leaveLocked(ctx, n)
			}
		}
	}
	for _, n := range next.nodes {
		switch {
		case c.known[n.name] == n:
			continue
		case old == nil:
			c.countLocked(n)
		default:
			c.rampLocked(ctx, n, now, "it has joined")
		}
		c.known[n.name] = n
	}
	c.forgetLocked(now)
	c.publishLocked(ctx)
	c.startChecksLocked()
	c.tellLocked(ctx, Event{Kind: Updated, Size: len(next.nodes)})
}

// What is remembered of endpoints that have left, as some come back.
const (
	rememberFor  = 5 * time.Minute
	rememberMost = 1024
)

// comeLocked takes back those in a new set that had left.
func (c *core) comeLocked(ctx context.Context, now int64) {
	const why = "it is in the set again"
	c.left = slices.DeleteFunc(c.left, func(n *node) bool {
		if n.health.stays != c.set {
			return false
		}
		n.health.gone, n.health.drained = false, false
		if n.ramping(now) {
			c.rampLocked(ctx, n, now, why) // from the beginning
		} else {
			c.noteLocked(ctx, n, why)
		}
		return true
	})
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
		c.tellLocked(ctx, Event{Kind: Drained, Key: n.name, Value: c.value(h.endpoint)})
	}
}

// drained is checkDrainedLocked for the end of a call.
func (c *core) drained(ctx context.Context, n *node) {
	defer c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkDrainedLocked(ctx, n)
}

// forgetLocked drops those that left long ago, now and then.
func (c *core) forgetLocked(now int64) {
	if len(c.left) <= rememberMost+rememberMost/4 && now-c.forgot < int64(rememberFor)/4 {
		return
	}
	c.forgot = now
	first := len(c.left) - rememberMost // of those that need not make room
	i := -1
	c.left = slices.DeleteFunc(c.left, func(n *node) bool {
		i++
		if recent := now-n.health.leftAt < int64(rememberFor) && i >= first; recent || !n.health.drained {
			return false
		}
		delete(c.known, n.name)
		c.past += n.calls(c.timed)
		return true
	})
}
