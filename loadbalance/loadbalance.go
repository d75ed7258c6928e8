// Package loadbalance sends each call to the instance that will answer best.
//
// A [Balancer] is made once per service. For HTTP it takes the URLs of the
// instances, or a [DNS] name, and goes into a [Transport]:
//
//	hosts, err := loadbalance.Hosts("http://10.0.0.1:8080", "http://10.0.0.2:8080")
//	client := &http.Client{Transport: &loadbalance.Transport{Balancer: hosts, Host: "orders"}}
//	resp, err := client.Get("http://orders/open")
//
// Endpoints can be of any type: connections, replicas, shards. [Do], [Run] and [Wrap]
// call an operation with one of them; [Balancer.Pick] serves what has no single end.
//
// # Model
//
// A [Source] gives sets of endpoints. What is known about an endpoint belongs to its
// Key, and survives new sets. The [Policy] chooses among the endpoints that can be
// picked. Each call tells by its [Result] how it went:
//
//   - A success counts by its latency. A deadline is a failure, whoever has set it:
//     that is how an endpoint that never answers looks. A panic and a runtime.Goexit
//     are failures and pass through.
//   - A failure never makes an endpoint look fast. EjectAfter of them in a row, or
//     EjectRate of the last ones, eject the endpoint for a time. Then, after ten calls
//     to others, or one to each if there are fewer, the first attempt of a call is its
//     trial. If that succeeds the
//     endpoint comes back with a slow start, otherwise it is ejected for twice as long.
//   - An overload makes an endpoint look slower, and cools it down for as long as it
//     has asked for. Then it has a trial as well.
//   - What the caller has cancelled says nothing, nor does a refusal by another layer
//     of this process (an error with Rejected() bool). Whether a context was cancelled
//     or its time was up is decided by its cause.
//
// Config.Classify and [Transport].Classify know better where these rules do not fit.
// At most MaxEjected of the endpoints are ejected or cool at a time.
//
// An endpoint that joins is taken to be as fast as the median of the others, and has a
// slow start. If all endpoints are in their slow start, only the differences count.
// One that leaves drains: its calls in flight go on.
//
// Functions of the caller that run on a goroutine of the Balancer, a Source's Watch and
// a check, fail if they call runtime.Goexit. If they panic they fail as well where
// Config.Observe is set, which is told; otherwise the panic ends the program.
//
// # Precedence
//
// Which endpoints a pick may go to is decided in this order. What comes first is
// never overruled by what follows.
//
//  1. An endpoint that is not in the set is not picked.
//  2. One in Hint.Exclude is not picked.
//  3. One with MaxInFlight calls is not picked. If all are full, there is an [*Error].
//  4. One that is unhealthy, ejected, cooling or half-open is not picked, but for its
//     trial, as long as the share of healthy ones is at least Panic. Below that their
//     health is ignored, and also where 1 and 2 leave no other.
//  5. One that another attempt of the call has tried is not picked (see
//     [WithSpread]), as long as there is another.
//  6. One in Hint.Prefer is picked, if there is one left.
//  7. One in its slow start is passed over, less often as time goes by.
//  8. The policy decides.
//
// [Balancer.Stats] gives the state of each endpoint, and the reason for it.
//
// # Defaults
//
//	Config.Policy         peak EWMA
//	Config.Decay          10s
//	Config.EjectAfter     5
//	Config.EjectRate      0.5
//	Config.EjectFor       5s
//	Config.MaxEjectFor    1m0s
//	Config.MaxEjected     0.3
//	Config.TrialLease     30s
//	Config.SlowStart      10s
//	Config.Panic          0.5
//	Config.CheckEvery     10s
//	Config.CheckTimeout   1s
//	Config.CheckFailures  3
//	Config.CheckPasses    2
package loadbalance

import (
	"context"
	"math"
	"net/url"
	"time"
)

// A Balancer spreads calls over the endpoints of one service. It is safe for
// concurrent use. Make it with [New] or [Hosts]; all picks of one that is not are refused.
// It has goroutines for its source,
// unless that is [Static] or [URLs], and for each endpoint that is checked
// ([Balancer.Check]). Only then it needs a Close.
//
// A pick takes no lock and allocates nothing, whatever happens to the set meanwhile,
// but for one that begins a trial, or that [WithSpread] remembers. It does as little for
// ten thousand endpoints as for a hundred, except with LeastLoaded, which looks at all of
// them.
type Balancer[T any] struct {
	core core
}

// New returns a Balancer for the endpoints of src. It panics if cfg is not valid. A
// set that is not valid is an error of the picks.
func New[T any](src Source[T], cfg Config) *Balancer[T] {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	if src == nil {
		panic("loadbalance: New: the Source is nil: Static, URLs and DNS make one")
	}
	return newBalancer(src, cfg, nil)
}

func newBalancer[T any](src Source[T], cfg Config, rand func() uint64) *Balancer[T] {
	b := &Balancer[T]{core: core{cfg: cfg.withDefaults(), epoch: time.Now(), rand: rand, ready: make(chan struct{}), known: map[string]*node{}}}
	c := &b.core
	c.decay, c.stale, c.silence = float64(c.cfg.Decay), int64(c.cfg.Decay/64), int64(c.cfg.Decay/2)
	c.fade = 1.25 * math.Log2E / c.decay // as price has the latency
	c.timed = timed(c.cfg.Policy)
	c.value = func(e any) any { return e.(*Endpoint[T]).Value }
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if s, ok := src.(static[T]); ok {
		c.final = true
		b.take(s, nil)
		return b
	}
	if r, ok := src.(interface{ Refresh() }); ok {
		c.refresh = r.Refresh
	}
	go b.watch(src)
	return b
}

// Hosts returns a Balancer with the default Config for the servers at urls, for a
// [Transport]. It is New(URLs(urls...), Config{}), and returns the error of [URLs].
func Hosts(urls ...string) (*Balancer[*url.URL], error) {
	src, err := URLs(urls...)
	if err != nil {
		return nil, err
	}
	return New(src, Config{}), nil
}

// Pick chooses an endpoint for a call, which counts as in flight until [Pick.Done].
// It waits for the first set of endpoints, until ctx ends, and after that never. It
// returns an [*Error] if there is nothing to pick, or ctx has ended.
func (b *Balancer[T]) Pick(ctx context.Context) (Pick[T], error) { return b.pickPlainly(ctx, &Hint{}) }

// PickWith is Pick with a hint.
func (b *Balancer[T]) PickWith(ctx context.Context, h Hint) (Pick[T], error) {
	if len(h.Exclude) > 0 {
		return b.pick(ctx, h)
	}
	return b.pickPlainly(ctx, &h)
}

// pickPlainly is a pick about which the policy decides, among all or those that are
// preferred. Where there is more to it, it is pick.
func (b *Balancer[T]) pickPlainly(ctx context.Context, h *Hint) (Pick[T], error) {
	s := b.core.current.Load()
	if s == nil || !s.plain || ctx.Err() != nil || ctx.Value(spreadKey{}) != nil {
		return b.pick(ctx, *h)
	}
	v := View{s: s, from: s.up, hash: h.Hash}
	if len(h.Prefer) > 0 {
		if v.from = s.prefers.get(h.Prefer); v.from == nil || v.from.count == 0 {
			return b.pick(ctx, *h)
		}
	}
	if s.timed {
		v.now = b.core.now()
	}
	i := s.policy.Next(v)
	if uint(i) >= uint(len(s.members)) || v.Skip(i) {
		return b.pick(ctx, *h)
	}
	m := &s.members[i]
	m.node.waiting.Add(begun(v.now))
	if m.node.special.Load()&leaving != 0 {
		b.core.giveBack(ctx, m.node, v.now)
		return b.pick(ctx, *h)
	}
	return Pick[T]{call: call{node: m.node, start: v.now}, endpoint: m.endpoint.(*Endpoint[T])}, nil
}

// Do calls op with the value of an endpoint. If none can be picked it returns an
// [*Error] without calling op. Otherwise op's value and error come back unchanged, but
// for a refusal by a layer below (an error with Rejected() bool): while there are healthy
// endpoints that the call has not tried, it comes back in one with Retryable() bool that
// reports true, as the next attempt would differ.
func Do[T, R any](ctx context.Context, b *Balancer[T], op func(context.Context, T) (R, error)) (R, error) {
	p, err := b.Pick(ctx)
	if err != nil {
		var zero R
		return zero, err
	}
	result := Result{Outcome: Failure} // if op panics or calls runtime.Goexit
	defer func() { p.call.done(ctx, &result) }()
	v, err := op(ctx, p.Value())
	result = Result{Err: err}
	return v, b.core.other(ctx, p.call.node, nil, err)
}

// Run is [Do] for an operation without a value.
func Run[T any](ctx context.Context, b *Balancer[T], op func(context.Context, T) error) error {
	_, err := Do(ctx, b, func(ctx context.Context, v T) (struct{}, error) {
		return struct{}{}, op(ctx, v)
	})
	return err
}

// Wrap returns fn with its endpoint chosen by b.
func Wrap[T, In, R any](b *Balancer[T], fn func(context.Context, T, In) (R, error)) func(context.Context, In) (R, error) {
	return func(ctx context.Context, in In) (R, error) {
		return Do(ctx, b, func(ctx context.Context, v T) (R, error) { return fn(ctx, v, in) })
	}
}

// Close stops following the source and checking endpoints. All later picks are refused.
// Calls in flight go on. It returns nil.
func (b *Balancer[T]) Close() error {
	c := &b.core
	if c.cancel == nil {
		return nil // it was not made by New
	}
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != nil {
		for _, n := range c.set.nodes {
			n.health.stopTimerLocked()
		}
		s := c.view(c.set)
		s.closed = true
		c.current.Store(s)
	}
	return nil
}
