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
	fade    float64 // how much the logarithm of a price falls in a nanosecond
	stale   int64   // how old an estimate is when its age matters
	silence int64   // how old it is when an endpoint has been silent
	timed   bool
	final   bool          // the set cannot change
	rand    func() uint64 // nil: math/rand/v2
	refresh func()        // of the source, or nil
	value   func(any) any // of an *Endpoint[T]
	current atomic.Pointer[snapshot]
	turns   atomic.Int64  // picks since the last trial, or since there is one to begin
	panics  atomic.Uint64 // of Observe, on goroutines of the balancer's
	out     atomic.Int64  // how many are Ejected, Cooling or HalfOpen

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ready  chan struct{} // closed when there is a set, or an error instead

	setting sync.Mutex // held while a set is taken in, one after the other

	mu         sync.Mutex // held to change the set and the health of its endpoints
	heard      bool       // ready is closed
	set        *set
	up         population       // of set: those that are available
	ramping    int              // how many of these are in their slow start
	ramps      []ramp           // those that are or were in their slow start, oldest first
	due        []*node          // half-open, and without a trial yet, oldest first
	missed     bool             // a turn has gone by without a trial, because of a hint
	changed    bool             // since the last snapshot
	known      map[string]*node // those of the set, and left
	left       []*node          // not in the set any more, but not forgotten
	forgot     int64            // when the last were
	err        error            // the source's last one
	panicking  bool
	trouble    bool // the source should look for other endpoints
	check      func(ctx context.Context, endpoint any) error
	drains     []func(*node) // called when one has drained, with the lock held
	events     []observed    // not delivered yet
	delivering bool
	ejected    uint64 // so many times so far, all endpoints together
	past       uint64 // calls that have ended, to endpoints that are forgotten

	// These are apart from what every pick reads.
	failed  atomic.Uint64 // calls
	refused atomic.Uint64 // picks
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
	heft     float64 // its logarithm to the base 2
}

// same reports whether two members are the same to a policy.
func (m member) same(o member) bool { return m.node == o.node && m.weight == o.weight }

// A set is the endpoints of a source, and what is made of them. It does not change.
type set struct {
	policy  Policy
	members []member
	nodes   []*node // theirs
	index   map[string]int
	even    bool // all have the same weight
	prefers prefers
}

// A snapshot is what picks see: a set, and the health of its endpoints. It does not
// change.
type snapshot struct {
	*set
	core    *core
	up      *population // those that can be picked, nil: all
	due     int         // how many wait for a trial
	ramping bool        // some are in their slow start
	lead    int64       // when the slow start of the first began, 0 if one has a full share
	panic   bool        // health is ignored
	plain   bool        // nothing but the policy decides
	closed  bool
	timed   bool
	rand    func() uint64
	prefers prefers // that are up
}

// publishLocked makes what has changed known to picks.
func (c *core) publishLocked(ctx context.Context) {
	if !c.changed || c.set == nil || c.ctx.Err() != nil {
		return
	}
	c.changed = false
	c.up.sum()
	n := len(c.set.nodes)
	panicking := c.up.count == 0 || float64(c.up.count) < c.cfg.Panic*float64(n)
	if panicking != c.panicking {
		c.panicking = panicking
		c.trouble = c.trouble || panicking
		c.tellLocked(ctx, Event{Kind: Panicked, Panic: panicking})
	}
	s := c.view(c.set)
	if !panicking && c.up.count < n {
		s.up = new(population)
		s.up.copy(&c.up)
	}
	s.due, s.panic, s.ramping = len(c.due), panicking, c.ramping > 0
	if s.ramping && c.ramping == c.up.count && (s.up != nil || c.up.count == n) {
		var together bool
		s.lead, together = c.leadLocked()
		s.ramping = !together // or else nobody is passed over
	}
	s.plain = !s.ramping && s.due == 0 && c.cfg.MaxInFlight == 0
	c.current.Store(s)
}

// view returns a snapshot of a set in which nobody has lost their health.
func (c *core) view(set *set) *snapshot {
	return &snapshot{set: set, core: c, timed: c.timed, rand: c.rand}
}

// seed gives the first latency that is known to all endpoints of which none is.
func (c *core) seed(latency float32, now int64) {
	for _, n := range c.current.Load().nodes {
		n.assume(latency, now)
	}
}

// typical returns the median latency of some endpoints but one, 0 if none is known. A mean
// would be that of the slowest.
func (c *core) typical(now int64, but *node) int64 {
	s := c.current.Load()
	if s == nil {
		return 0
	}
	v := View{s: s, from: s.up}
	n := v.count()
	start := below(v.Rand(), n)
	known := make([]float32, 0, scan)
	for i := range min(scan, n) {
		node := s.nodes[v.nth((start+i)%n)]
		if l := node.current(now).latency; l > 0 && node != but {
			known = append(known, l)
		}
	}
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return int64(known[(len(known)-1)/2])
}
