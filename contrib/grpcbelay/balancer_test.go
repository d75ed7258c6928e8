package grpcbelay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/contrib/grpcbelay"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

var (
	belayed = grpcbelay.NewBalancer("belay", loadbalance.Config{})
	bounded = grpcbelay.NewBalancer("belay_bounded", loadbalance.Config{MaxInFlight: 1})
)

func init() {
	balancer.Register(belayed)
	balancer.Register(bounded)
}

// A fleet is servers in memory that have names, and a connection to all of them.
type fleet struct {
	tb       testing.TB
	servers  map[string]*grpc.Server
	mu       sync.Mutex
	listens  map[string]*bufconn.Listener
	resolver *manual.Resolver
	conn     *grpc.ClientConn
}

// start starts, or starts again, a server.
func (f *fleet) start(name string, b grpc_testing.TestServiceServer, opts ...grpc.ServerOption) *grpc.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, s := bufconn.Listen(1<<20), grpc.NewServer(append(opts, grpc.WaitForHandlers(true))...)
	grpc_testing.RegisterTestServiceServer(s, b)
	f.listens[name], f.servers[name] = l, s
	go s.Serve(l)
	f.tb.Cleanup(s.Stop)
	return s
}

func (f *fleet) dial(ctx context.Context, name string) (net.Conn, error) {
	f.mu.Lock()
	l := f.listens[name]
	f.mu.Unlock()
	return l.DialContext(ctx)
}

func (f *fleet) state(names ...string) resolver.State {
	var s resolver.State
	for _, name := range names {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: name}}})
	}
	return s
}

func names(n int) (all []string) {
	for i := range n {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// newFleet starts a server for each backend, and connects to them with a policy.
func newFleet(tb testing.TB, policy string, backends []*backend, opts ...grpc.DialOption) (*fleet, grpc_testing.TestServiceClient) {
	tb.Helper()
	f := &fleet{tb: tb, servers: map[string]*grpc.Server{}, listens: map[string]*bufconn.Listener{}, resolver: manual.NewBuilderWithScheme("fleet")}
	for i, b := range backends {
		f.start(strconv.Itoa(i), b)
	}
	f.resolver.InitialState(f.state(names(len(backends))...))
	conn, err := grpc.NewClient("fleet:///"+policy, append([]grpc.DialOption{
		grpc.WithResolvers(f.resolver),
		grpc.WithContextDialer(f.dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig": [{%q: {}}]}`, policy)),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	f.conn = conn
	tb.Cleanup(func() { conn.Close() })
	return f, grpc_testing.NewTestServiceClient(conn)
}

func statsOf(t *testing.T, b *grpcbelay.Balancer) loadbalance.Stats {
	t.Helper()
	all := b.Stats()
	if len(all) != 1 {
		t.Fatalf("%d connections, want 1", len(all))
	}
	return all[0]
}

func TestBalancerSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{}, {}, {}}
		for _, b := range backends {
			b.empty = func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil }
		}
		_, c := newFleet(t, "belay", backends)
		empty(t.Context(), c, grpc.WaitForReady(true))
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for range 300 {
			wg.Go(func() {
				if err := empty(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i, b := range backends {
			if n := b.calls.Load(); n < 80 || n > 120 {
				t.Errorf("server %d got %d of 300 calls at once", i, n)
			}
		}
		s := statsOf(t, belayed)
		if s.Name != "fleet:///belay" || len(s.Endpoints) != 3 {
			t.Errorf("%+v", s)
		}
		for _, e := range s.Endpoints {
			if e.InFlight != 0 || e.Latency < 9*time.Millisecond || e.Latency > 20*time.Millisecond {
				t.Errorf("%+v", e)
			}
		}
	})
	if n := len(belayed.Stats()); n != 0 {
		t.Errorf("%d connections after the last was closed", n)
	}
}

// A server that fails is avoided.
func TestBalancerAvoids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{}, {}, {}}
		backends[1].empty = func(context.Context) error { return status.Error(codes.Internal, "broken") }
		_, c := newFleet(t, "belay", backends)
		failed := 0
		for range 300 {
			if empty(t.Context(), c, grpc.WaitForReady(true)) != nil {
				failed++
			}
			time.Sleep(time.Millisecond)
		}
		if failed == 0 || failed > 10 || int(backends[1].calls.Load()) != failed {
			t.Errorf("%d of 300 calls failed", failed)
		}
		if e := statsOf(t, belayed).Endpoints[1]; e.Failed == 0 {
			t.Errorf("%+v", e)
		}
	})
}

// What the caller has asked wrongly, or has cancelled, says nothing about a server.
func TestBalancerKeepsTheInnocent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{}, {}}
		for _, b := range backends {
			b.empty = func(context.Context) error { return status.Error(codes.NotFound, "") }
			b.unary = func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}
		_, c := newFleet(t, "belay", backends)
		for range 50 {
			empty(t.Context(), c, grpc.WaitForReady(true))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			c.UnaryCall(ctx, &grpc_testing.SimpleRequest{})
		}
		synctest.Wait()
		for _, e := range statsOf(t, belayed).Endpoints {
			if e.FailureRate != 0 || e.InFlight != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Attempts of one call go to different servers, those of streams too.
func TestBalancerAttemptsGoElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{}, {}, {}}
		for _, b := range backends {
			b.empty = func(context.Context) error { return unavailable }
			b.duplex = func(duplexServer) error { return unavailable }
		}
		layer := &grpcbelay.Retry{Idempotent: anyMethod, Config: retry.Config{Budget: retry.NoBudget}}
		_, c := newFleet(t, "belay", backends, grpc.WithChainUnaryInterceptor(layer.Unary), grpc.WithChainStreamInterceptor(layer.Stream))
		c.EmptyCall(t.Context(), &grpc_testing.Empty{}, grpc.WaitForReady(true))
		time.Sleep(time.Second) // all are connected
		for i := range 4 {      // after that, servers are ejected
			for _, b := range backends {
				b.calls.Store(0)
			}
			if i%2 == 0 {
				empty(t.Context(), c)
			} else {
				talk(t, c, "a")
			}
			for j, b := range backends {
				if n := b.calls.Load(); n != 1 {
					t.Errorf("call %d: server %d got %d attempts", i, j, n)
				}
			}
		}
	})
}

// A server that goes away and comes back, and one that is replaced.
func TestBalancerFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{}, {}, {}}
		f, c := newFleet(t, "belay", backends)
		calls := func(n int) (failed int) {
			for range n {
				if err := empty(t.Context(), c, grpc.WaitForReady(true)); err != nil {
					failed++
				}
				time.Sleep(time.Millisecond)
			}
			return failed
		}
		calls(100)
		f.servers["1"].Stop()
		if n := calls(100); n > 1 {
			t.Errorf("%d calls failed when a server went away", n)
		}
		if s := statsOf(t, belayed); len(s.Endpoints) != 2 {
			t.Errorf("a server that cannot be connected to is still in the set: %+v", s.Endpoints)
		}
		before := backends[1].calls.Load()
		f.start("1", backends[1])
		time.Sleep(time.Minute)
		if n := calls(300); n > 0 || backends[1].calls.Load() == before {
			t.Errorf("%d calls failed after it was back, and %d have arrived there", n, backends[1].calls.Load()-before)
		}
		f.start("3", backends[2])
		f.resolver.UpdateState(f.state("0", "3"))
		time.Sleep(time.Second)
		before = backends[1].calls.Load()
		if n := calls(100); n > 0 || backends[1].calls.Load() != before {
			t.Errorf("%d calls failed with a new set, %d went to a server of the old one", n, backends[1].calls.Load()-before)
		}
		if s := statsOf(t, belayed); len(s.Endpoints) != 2 {
			t.Errorf("%+v", s.Endpoints)
		}
		f.resolver.CC().ReportError(errors.New("no such host"))
		f.servers["0"].GracefulStop()
		f.servers["3"].Stop()
		time.Sleep(time.Second)
		if err := empty(t.Context(), c); status.Code(err) != codes.Unavailable {
			t.Errorf("without a server: %v", err)
		}
	})
}

// A server that says that it goes away (GOAWAY) ends no stream, and costs no call.
func TestBalancerGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{duplex: echo}, {duplex: echo}}
		f, c := newFleet(t, "belay", nil)
		age := grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: time.Second})
		f.start("0", backends[0], age)
		f.start("1", backends[1], age)
		f.resolver.UpdateState(f.state("0", "1"))
		s, err := c.FullDuplexCall(t.Context(), grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := s.Send(message(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err != nil {
				t.Fatal(err)
			}
			if err := empty(t.Context(), c); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		s.CloseSend()
		if _, err := s.Recv(); err != io.EOF {
			t.Error(err)
		}
		for _, e := range statsOf(t, belayed).Endpoints {
			if e.FailureRate != 0 || e.InFlight != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Streams take places, and hold up nobody by their length.
func TestBalancerStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{duplex: echo}, {duplex: echo}}
		_, c := newFleet(t, "belay", backends)
		empty(t.Context(), c, grpc.WaitForReady(true))
		time.Sleep(time.Second)
		var cancels []context.CancelFunc
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := c.FullDuplexCall(ctx); err != nil {
				t.Fatal(err)
			}
			cancels = append(cancels, cancel)
		}
		time.Sleep(time.Hour)
		if a, b := backends[0].calls.Load(), backends[1].calls.Load(); a < 9 || b < 9 {
			t.Errorf("streams went to %d and %d", a, b)
		}
		for _, e := range statsOf(t, belayed).Endpoints {
			if e.InFlight != 10 || e.Latency > time.Second {
				t.Errorf("%+v", e)
			}
		}
		for _, cancel := range cancels {
			cancel()
		}
		synctest.Wait()
		for _, e := range statsOf(t, belayed).Endpoints {
			if e.InFlight != 0 || e.FailureRate != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestBalancerOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{empty: func(context.Context) error { time.Sleep(time.Second); return nil }}
		_, c := newFleet(t, "belay_bounded", []*backend{b})
		go empty(t.Context(), c)
		time.Sleep(time.Millisecond)
		err := empty(t.Context(), c, grpc.WaitForReady(true))
		if !errors.Is(err, loadbalance.ErrOverloaded) || status.Code(err) != codes.Unavailable {
			t.Errorf("%v", err)
		}
		time.Sleep(2 * time.Second)
	})
}

// gRPC's own health checks are heeded.
func TestBalancerHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends := []*backend{{}, {}}
		f, c := newFleet(t, "belay", nil, grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"belay": {}}], "healthCheckConfig": {"serviceName": "shop"}}`))
		health0 := health.NewServer()
		for i, b := range backends {
			h := health0
			if i > 0 {
				h = health.NewServer()
			}
			l, s := bufconn.Listen(1<<20), grpc.NewServer(grpc.WaitForHandlers(true))
			grpc_testing.RegisterTestServiceServer(s, b)
			grpc_health_v1.RegisterHealthServer(s, h)
			h.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
			f.listens[strconv.Itoa(i)] = l
			go s.Serve(l)
			t.Cleanup(s.Stop)
		}
		f.resolver.UpdateState(f.state("0", "1"))
		empty(t.Context(), c, grpc.WaitForReady(true))
		time.Sleep(time.Second)
		health0.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		time.Sleep(time.Second)
		before := backends[0].calls.Load()
		for range 50 {
			empty(t.Context(), c)
		}
		if n := backends[0].calls.Load() - before; n > 0 {
			t.Errorf("a server that does not serve got %d calls", n)
		}
		health0.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
		time.Sleep(time.Minute)
		for range 50 {
			empty(t.Context(), c)
		}
		if n := backends[0].calls.Load() - before; n == 0 {
			t.Error("a server that serves again gets no calls")
		}
	})
}

func TestNewBalancerPanics(t *testing.T) {
	for _, f := range []func(){
		func() { grpcbelay.NewBalancer("", loadbalance.Config{}) },
		func() { grpcbelay.NewBalancer("Belay", loadbalance.Config{}) },
		func() { grpcbelay.NewBalancer("belay", loadbalance.Config{Panic: 2}) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || s[:9] != "grpcbelay" {
					t.Errorf("panics with %q", s)
				}
			}()
			f()
			t.Error("does not panic")
		}()
	}
}

// latencies calls a fleet for a while, and returns how long the calls took, sorted.
func latencies(t *testing.T, policy string, backends []*backend) []time.Duration {
	_, c := newFleet(t, policy, backends)
	empty(t.Context(), c, grpc.WaitForReady(true))
	time.Sleep(time.Second)
	random := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	for range 4000 {
		wg.Go(func() {
			start := time.Now()
			if err := empty(t.Context(), c); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
		})
		time.Sleep(time.Duration(random.ExpFloat64() * float64(2*time.Millisecond)))
	}
	wg.Wait()
	slices.Sort(took)
	return took
}

// Five servers of eight workers each, which take 10 ms at random; one takes ten times as
// long. Real servers and connections, and time that costs nothing.
func TestBalancerSlowServer(t *testing.T) {
	quantile := func(d []time.Duration, q float64) time.Duration { return d[int(q*float64(len(d)))] }
	p99 := map[string]time.Duration{}
	t.Logf("%-26s %10s %10s %10s  %s", "policy", "p50", "p99", "p99.9", "calls to the slow server")
	for _, policy := range []string{"round_robin", "least_request_experimental", "belay"} {
		synctest.Test(t, func(t *testing.T) {
			backends := make([]*backend, 5)
			for i := range backends {
				mean := float64(10 * time.Millisecond)
				if i == 2 {
					mean *= 10
				}
				workers := make(chan struct{}, 8)
				var seed atomic.Uint64
				backends[i] = &backend{empty: func(context.Context) error {
					workers <- struct{}{}
					defer func() { <-workers }()
					random := rand.New(rand.NewPCG(uint64(i), seed.Add(1)))
					time.Sleep(time.Duration(random.ExpFloat64() * mean))
					return nil
				}}
			}
			d := latencies(t, policy, backends)
			p99[policy] = quantile(d, 0.99)
			t.Logf("%-26s %10v %10v %10v  %d of %d", policy, quantile(d, 0.5).Round(time.Microsecond),
				p99[policy].Round(time.Microsecond), quantile(d, 0.999).Round(time.Microsecond), backends[2].calls.Load(), len(d))
		})
	}
	if 3*p99["belay"] > p99["round_robin"] {
		t.Errorf("p99 is %v, that of round robin %v", p99["belay"], p99["round_robin"])
	}
}
