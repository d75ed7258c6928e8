package loadbalance

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// core is what a Balancer is, but for the type of its endpoints.
type core struct {
	cfg     Config
	epoch   time.Time // of all times that are int64
	decay   float64
	stale   int64 // how old an estimate is when its age matters
	timed   bool
	final   bool          // the set cannot change
	rand    func() uint64 // nil: math/rand/v2
	refresh func()        // of the source, or nil
	value   func(any) any // of an *Endpoint[T]
	current atomic.Pointer[snapshot]
	turns   atomic.Int64 // picks since a trial was due

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ready  chan struct{} // closed when there is a set, or an error instead

	mu         sync.Mutex // held to change the set and the health of its endpoints
	heard      bool       // ready is closed
	all        []member
	left       []*node // not in the set any more, but not forgotten
	err        error   // the source's last one
	panicking  bool
	trouble    bool // the source should look for other endpoints
	check      func(ctx context.Context, endpoint any) error
	drains     []func(*node) // called when one has drained, with the lock held
	events     []observed    // not delivered yet
	delivering bool
}

// now returns the time since the epoch, never 0.
func (c *core) now() int64 { return int64(time.Since(c.epoch)) + 1 }

// start is when a call begins now, or 0 if its latency does not matter.
func (c *core) start(now int64) int64 {
	if c.timed {
		return now
	}
	return 0
}

// A member is an endpoint of a set.
type member struct {
	node     *node
	endpoint any // an *Endpoint[T]
	weight   float64
	inverse  float64 // of weight
}

// A snapshot is what picks see. It does not change.
type snapshot struct {
	core    *core
	policy  Policy
	members []member // those that the policy chooses among
	nodes   []*node  // theirs
	even    bool     // all have the same weight
	all     []member
	trials  []member // half-open, and without a trial yet
	ramping bool     // some are in their slow start
	plain   bool     // nothing but the policy decides
	timed   bool
	stale   uint32 // how old an estimate is when its age matters, in ticks of quick
	rand    func() uint64
}

func (c *core) snapshot(members []member, p Policy) *snapshot {
	s := &snapshot{core: c, policy: p, members: members, even: true, all: c.all, timed: c.timed, stale: uint32(min(c.stale>>quickBits, 1<<30)), rand: c.rand}
	for _, m := range members {
		s.nodes = append(s.nodes, m.node)
		s.even = s.even && m.weight == members[0].weight
	}
	return s
}

// rebuildLocked makes a snapshot of how things are.
func (c *core) rebuildLocked(ctx context.Context) {
	if len(c.all) == 0 || c.ctx.Err() != nil {
		return
	}
	members := slices.DeleteFunc(slices.Clone(c.all), func(m member) bool { return !m.node.health.available() })
	panicking := len(members) == 0 || float64(len(members)) < c.cfg.Panic*float64(len(c.all))
	if panicking {
		members = c.all
	}
	if panicking != c.panicking {
		c.panicking = panicking
		c.trouble = c.trouble || panicking
		c.tellLocked(ctx, Event{Kind: Panicked, Panic: panicking})
	}
	now, policy := c.now(), c.cfg.Policy
	old := c.current.Load()
	if old != nil {
		policy = old.policy
	}
	s := c.snapshot(members, policy)
	for _, m := range c.all {
		if h := m.node.health; h.out == HalfOpen && h.trial == 0 && !h.unhealthy {
			s.trials = append(s.trials, m)
		}
		s.ramping = s.ramping || m.node.ramping(now)
	}
	c.turns.Store(0)
	s.plain = !s.ramping && len(s.trials) == 0 && c.cfg.MaxInFlight == 0
	if old == nil || !slices.EqualFunc(old.members, members, member.same) {
		s.policy = policy.Build(View{s: s, now: now})
	}
	c.current.Store(s)
}

// same reports whether two members are the same to a policy.
func (m member) same(o member) bool { return m.node == o.node && m.weight == o.weight }

// seed gives the first latency that is known to all endpoints of which none is.
func (c *core) seed(latency float32, now int64) {
	for _, m := range c.current.Load().all {
		m.node.assume(latency, now)
	}
}

// typical returns the mean latency of some endpoints, 0 if none is known. A failure
// takes that long at least.
func (c *core) typical(now int64) int64 {
	s := c.current.Load()
	start := below(View{s: s}.Rand(), len(s.nodes))
	sum, count := float32(0), 0
	for i := range min(scan, len(s.nodes)) {
		if l := s.nodes[(start+i)%len(s.nodes)].current(now).latency; l > 0 {
			sum, count = sum+l, count+1
		}
	}
	return int64(sum / float32(max(count, 1)))
}

// meanLocked returns the mean latency of the healthy endpoints but one, 0 if none is known.
func (c *core) meanLocked(now int64, but *node) float32 {
	sum, count := float32(0), 0
	for _, m := range c.all {
		if l := m.node.current(now).latency; l > 0 && m.node != but && m.node.health.available() {
			sum, count = sum+l, count+1
		}
	}
	return sum / float32(max(count, 1))
}
