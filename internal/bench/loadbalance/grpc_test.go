package loadbalance_test

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	orca "github.com/cncf/xds/go/xds/data/orca/v3"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/weightedroundrobin"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
)

// gozero is the name under which it registers its balancer, if it is there.
const gozero = "p2c_ewma"

func pickGRPC(b *testing.B, n int, name string, must check) {
	p, info := newPicker(b, n, name), balancer.PickInfo{Ctx: context.Background()}
	must(b, n, func() (int, func()) {
		r, err := p.Pick(info)
		if err != nil {
			b.Fatal(err)
		}
		return r.SubConn.(*connection).id, func() {
			if r.Done != nil {
				r.Done(balancer.DoneInfo{})
			}
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		r, err := p.Pick(info)
		if err != nil {
			b.Fatal(err)
		}
		if r.Done != nil {
			r.Done(balancer.DoneInfo{})
		}
	}
}

func pickGRPCPar(b *testing.B, n int, name string) {
	p, info := newPicker(b, n, name), balancer.PickInfo{Ctx: context.Background()}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := p.Pick(info)
			if err != nil {
				b.Error(err)
				return
			}
			if r.Done != nil {
				r.Done(balancer.DoneInfo{})
			}
		}
	})
}

// pickers are those made so far: those of gRPC take long.
var pickers = map[string]balancer.Picker{}

// newPicker returns the picker of a balancer whose connections are all there.
func newPicker(b *testing.B, n int, name string) balancer.Picker {
	b.Helper()
	key := name + strconv.Itoa(n)
	if p := pickers[key]; p != nil {
		return p
	}
	cc := &channel{}
	lb := balancer.Get(name).Build(cc, balancer.BuildOptions{})
	state := balancer.ClientConnState{}
	for i := range n {
		a := resolver.Address{Addr: strconv.Itoa(i)}
		state.ResolverState.Addresses = append(state.ResolverState.Addresses, a)
		state.ResolverState.Endpoints = append(state.ResolverState.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{a}})
	}
	if parser, ok := balancer.Get(name).(balancer.ConfigParser); ok {
		config, err := parser.ParseConfig(json.RawMessage(`{"blackoutPeriod": "0s", "weightUpdatePeriod": "0.1s"}`))
		if err != nil {
			b.Fatal(err)
		}
		state.BalancerConfig = config
	}
	if err := lb.UpdateClientConnState(state); err != nil {
		b.Fatal(err)
	}
	for _, c := range cc.connections {
		c.ready()
	}
	p := cc.picker()
	if name == weightedroundrobin.Name {
		report(b, p, n)
	}
	pickers[key] = p
	return p
}

// report lets every endpoint say how heavy it is, and waits until the picker has
// taken it in.
func report(b *testing.B, p balancer.Picker, n int) {
	b.Helper()
	for range n {
		r, err := p.Pick(balancer.PickInfo{Ctx: context.Background()})
		if err != nil {
			b.Fatal(err)
		}
		r.Done(balancer.DoneInfo{ServerLoad: &orca.OrcaLoadReport{
			CpuUtilization: 0.5,
			RpsFractional:  float64(100 * weight(r.SubConn.(*connection).id)),
		}})
	}
	time.Sleep(300 * time.Millisecond)
}

// A channel is what a balancer of gRPC gets to see of its connection.
type channel struct {
	balancer.ClientConn
	connections []*connection

	mu    sync.Mutex
	state balancer.State
}

func (c *channel) NewSubConn(a []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	id, err := strconv.Atoi(a[0].Addr)
	if err != nil {
		return nil, err
	}
	sc := &connection{id: id, listen: o.StateListener}
	c.connections = append(c.connections, sc)
	return sc, nil
}

func (c *channel) UpdateState(s balancer.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
}

func (c *channel) picker() balancer.Picker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Picker
}

func (*channel) MetricsRecorder() stats.MetricsRecorder { return metrics{} }

// metrics are for nobody.
type metrics struct{ stats.MetricsRecorder }

func (metrics) RecordInt64Count(*stats.Int64CountHandle, int64, ...string)       {}
func (metrics) RecordFloat64Histo(*stats.Float64HistoHandle, float64, ...string) {}

// A connection is ready when it is told so.
type connection struct {
	balancer.SubConn
	id     int
	listen func(balancer.SubConnState)
	health func(balancer.SubConnState)
}

func (*connection) Connect()                                               {}
func (c *connection) RegisterHealthListener(f func(balancer.SubConnState)) { c.health = f }

func (c *connection) ready() {
	s := balancer.SubConnState{ConnectivityState: connectivity.Ready}
	c.listen(s)
	if c.health != nil {
		c.health(s)
	}
}
