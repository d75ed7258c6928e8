package grpcbelay

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/belay-go/belay/loadbalance"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// A Balancer chooses among the endpoints of a resolver as a loadbalance.Balancer does:
// peak EWMA by default, ejection, trials, slow start. It is a balancer.Builder, made once
// with [NewBalancer] and registered under a name, by which service configs know it:
//
//	func init() { balancer.Register(grpcbelay.NewBalancer("belay", loadbalance.Config{})) }
//
//	grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"belay": {}}]}`)
//
// Connections are gRPC's: it connects to all endpoints, tries the addresses of each one
// after the other, and connects again by itself. It also checks their health, if the
// service config has a healthCheckConfig. Calls go to endpoints that are connected. One
// whose connection was lost and is made anew keeps what is known about it; one to which
// no connection could be made has left the set, and comes back with a slow start.
//
// The code of the status decides what a call says about its endpoint. A [Retry] sends the
// attempts of a call to different endpoints. A stream counts with its outcome, and its
// place among the calls in flight, but has no latency: only the proto of a method, if the
// process has it, tells which calls are streams. One that fails while its client sends
// can look as if it had ended well, as gRPC then tells its balancer so. If all endpoints have
// Config.MaxInFlight calls, the error of a call wraps a *loadbalance.Error.
type Balancer struct {
	name string
	cfg  loadbalance.Config

	mu   sync.Mutex
	made map[*balancing]struct{}
}

// spreading says that there is a Balancer in this process, for which attempts of one call
// remember where they have been.
var spreading atomic.Bool

// NewBalancer returns a Balancer for service configs with that name. It has a
// loadbalance.Balancer with cfg for each connection. One that has no Name there has the
// connection's target. NewBalancer panics if cfg is not valid, or there is no name.
func NewBalancer(name string, cfg loadbalance.Config) *Balancer {
	if name == "" || name != strings.ToLower(name) {
		panic("grpcbelay: NewBalancer: the name is empty, or not in lower case")
	}
	if err := cfg.Validate(); err != nil {
		panic("grpcbelay: NewBalancer: " + err.Error())
	}
	if cfg.Classify == nil {
		cfg.Classify = BalancerOutcome
	}
	spreading.Store(true)
	return &Balancer{name: name, cfg: cfg, made: map[*balancing]struct{}{}}
}

// Name returns the name of the policy in service configs.
func (b *Balancer) Name() string { return b.name }

// Stats returns what is known about the endpoints of each connection.
func (b *Balancer) Stats() []loadbalance.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []loadbalance.Stats
	for one := range b.made {
		all = append(all, one.balancer.Stats())
	}
	slices.SortFunc(all, func(a, b loadbalance.Stats) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Build is for gRPC.
func (b *Balancer) Build(cc balancer.ClientConn, opts balancer.BuildOptions) balancer.Balancer {
	cfg := b.cfg
	if cfg.Name == "" {
		cfg.Name = opts.Target.String()
	}
	one := &balancing{ClientConn: cc, builder: b, source: source{ready: make(chan struct{})}, places: map[string]*place{}}
	one.balancer = loadbalance.New(&one.source, cfg)
	one.children = endpointsharding.NewBalancer(one, opts, balancer.Get(pickfirst.Name).Build, endpointsharding.Options{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made[one] = struct{}{}
	return one
}

// balancing is the policy of one connection. Its children are one for each endpoint, and
// have the connections; it is their ClientConn, to which they tell their states.
type balancing struct {
	balancer.ClientConn
	builder  *Balancer
	children balancer.Balancer
	balancer *loadbalance.Balancer[*place]
	source   source

	mu     sync.Mutex
	places map[string]*place // by key, those that the source has
}

// A place is an endpoint.
type place struct {
	picker atomic.Pointer[balancer.Picker] // of its connection, the latest that was ready
	usual  atomic.Int64                    // latency of the latest unary call, in nanoseconds
}

func (b *balancing) UpdateClientConnState(s balancer.ClientConnState) error {
	return b.children.UpdateClientConnState(balancer.ClientConnState{ResolverState: pickfirst.EnableHealthListener(s.ResolverState)})
}

func (b *balancing) ResolverError(err error) { b.children.ResolverError(err) }
func (b *balancing) ExitIdle()               { b.children.ExitIdle() }

func (b *balancing) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {} // the children have listeners

func (b *balancing) Close() {
	b.children.Close()
	b.balancer.Close()
	b.builder.mu.Lock()
	defer b.builder.mu.Unlock()
	delete(b.builder.made, b)
}

// UpdateState is told the states of all endpoints. As long as none is ready, what the
// children do is right: to wait, or to fail.
func (b *balancing) UpdateState(s balancer.State) {
	if s.ConnectivityState != connectivity.Ready {
		b.ClientConn.UpdateState(s)
		return
	}
	b.ClientConn.UpdateState(balancer.State{ConnectivityState: connectivity.Ready, Picker: b.update(s.Picker)})
}

// update takes in the states of the endpoints, and returns the picker for them.
func (b *balancing) update(children balancer.Picker) *picker {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &picker{balancer: b.balancer}
	places := map[string]*place{}
	var set []loadbalance.Endpoint[*place]
	for _, child := range endpointsharding.ChildStatesFromPicker(children) {
		if child.State.ConnectivityState == connectivity.TransientFailure {
			continue
		}
		key := keyOf(child.Endpoint)
		at := b.places[key]
		if at == nil {
			at = new(place)
		}
		if child.State.ConnectivityState == connectivity.Ready {
			at.picker.Store(&child.State.Picker)
		} else {
			p.exclude = append(p.exclude, key)
		}
		places[key] = at
		set = append(set, loadbalance.Endpoint[*place]{Key: key, Value: at})
	}
	if !sameKeys(places, b.places) {
		b.places = places
		slices.SortFunc(set, func(a, b loadbalance.Endpoint[*place]) int { return strings.Compare(a.Key, b.Key) })
		b.source.send(set)
	}
	return p
}

func sameKeys(a, b map[string]*place) bool {
	if len(a) != len(b) {
		return false
	}
	for key := range a {
		if b[key] == nil {
			return false
		}
	}
	return true
}

// keyOf returns what names an endpoint: its addresses.
func keyOf(e resolver.Endpoint) string {
	if len(e.Addresses) == 1 {
		return e.Addresses[0].Addr
	}
	addrs := make([]string, len(e.Addresses))
	for i, a := range e.Addresses {
		addrs[i] = a.Addr
	}
	slices.Sort(addrs)
	return strings.Join(addrs, ",")
}

// source is a loadbalance.Source of the sets that gRPC gives.
type source struct {
	ready chan struct{} // closed when set is known
	set   func([]loadbalance.Endpoint[*place], error)
}

func (s *source) Watch(ctx context.Context, set func([]loadbalance.Endpoint[*place], error)) error {
	s.set = set
	close(s.ready)
	<-ctx.Done()
	return nil
}

func (s *source) send(endpoints []loadbalance.Endpoint[*place]) {
	<-s.ready // as soon as the goroutine of the Balancer runs
	s.set(endpoints, nil)
}
