package loadbalance

import "context"

// NewSeeded is New with a source of randomness that repeats itself.
func NewSeeded[T any](src Source[T], cfg Config, rand func() uint64) *Balancer[T] {
	return newBalancer(src, cfg, rand)
}

// Remembered returns how many endpoints that are not in the set are known.
func Remembered[T any](b *Balancer[T]) int {
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	return len(b.core.left)
}

// Tried returns how many picks are remembered of a call.
func Tried(ctx context.Context) int { return len(ctx.Value(spreadKey{}).(*visits).nodes) }

// Set makes set the set of b, as its source would.
func Set[T any](b *Balancer[T], set []Endpoint[T], err error) { b.take(set, err) }

// UsePool picks an endpoint and takes its pool, as a request does.
func UsePool(t *Transport, ctx context.Context) error {
	p, err := t.Balancer.Pick(ctx)
	if err != nil {
		return err
	}
	t.pool(p.call.node)
	p.Done(Result{})
	return nil
}

// Pools returns how many pools of connections there are.
func Pools(t *Transport) (n int) {
	for range t.pools.Range {
		n++
	}
	return n
}

// A Population is a population, for tests.
type Population struct{ p population }

// NewPopulation returns one of n.
func NewPopulation(n int) *Population {
	p := new(Population)
	p.p.reset(n, true)
	return p
}

func (p *Population) Remove(i int)  { p.p.remove(i) }
func (p *Population) Count() int    { return p.p.count }
func (p *Population) Nth(j int) int { return p.p.nth(j) }

// CopyPick makes q a copy of p.
func CopyPick[T any](q, p *Pick[T]) { q.call, q.endpoint = p.call, p.endpoint }
