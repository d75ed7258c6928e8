package loadbalance_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// balanced plays a Balancer, whose clock is that of the bubble: it is brought up to
// the time of the simulation before each call.
type balanced struct {
	setting
	b    *loadbalance.Balancer[int]
	set  []loadbalance.Endpoint[int]
	hint loadbalance.Hint
}

// local is belay with a preference for the first half of the servers.
func local(cfg loadbalance.Config) func(setting) rule {
	return func(s setting) rule {
		b := belay(cfg)(s).(*balanced)
		for _, e := range b.set[:s.servers/2] {
			b.hint.Prefer = append(b.hint.Prefer, e.Key)
		}
		return b
	}
}

func (b *balanced) swap(now time.Duration, server int) {
	b.until(now)
	b.set = slices.Clone(b.set)
	b.set[server].Key += "'"
	loadbalance.Set(b.b, b.set, nil)
}

func belay(cfg loadbalance.Config) func(setting) rule {
	return func(s setting) rule {
		endpoints := make([]loadbalance.Endpoint[int], s.servers+1)
		for n := range endpoints {
			endpoints[n] = loadbalance.Endpoint[int]{Key: strconv.Itoa(n), Value: n}
		}
		src := loadbalance.Static(endpoints[:s.servers]...)
		if s.joins > 0 {
			src = growing{endpoints, s.joins}
		}
		var mu sync.Mutex // a source draws too, perhaps at the same moment
		draw := func() uint64 {
			mu.Lock()
			defer mu.Unlock()
			return s.Rand.Uint64()
		}
		return &balanced{setting: s, b: loadbalance.NewSeeded(src, cfg, draw), set: endpoints[:s.servers]}
	}
}

func (b *balanced) until(now time.Duration) {
	if d := now - b.Now(); d > 0 {
		time.Sleep(d)
	}
}

func (b *balanced) pick(now time.Duration) (int, func(time.Duration, error)) {
	b.until(now)
	p, err := b.b.PickWith(context.Background(), b.hint)
	if err != nil {
		panic(err)
	}
	return p.Value(), func(now time.Duration, err error) {
		b.until(now)
		p.Done(loadbalance.Result{Err: err})
	}
}

func (b *balanced) grow(now time.Duration) {
	b.until(now)
	synctest.Wait() // the source wakes at this time too
}

// growing is a Source of a set to which the last endpoint comes later.
type growing struct {
	endpoints []loadbalance.Endpoint[int]
	joins     time.Duration
}

// Watch implements [loadbalance.Source].
func (g growing) Watch(_ context.Context, set func([]loadbalance.Endpoint[int], error)) error {
	set(g.endpoints[:len(g.endpoints)-1], nil)
	time.Sleep(g.joins)
	set(g.endpoints, nil)
	return nil
}
