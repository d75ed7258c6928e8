// Package loadbalance_test measures belay's load balancer beside its peers: a pick
// among 10, 100 and 1,000 endpoints, and the end of its call.
//
// The paths hold rules that are alike: rr is round robin, p2c looks for fewer calls
// in flight (belay and grpc draw two endpoints), ewma also at a moving average of
// latency (belay compares all of ten, otherwise everybody draws two), and wrr is
// round robin by weights. The floors are a counter (rr), a counter of turns and one of
// calls in flight, which takes three locked instructions (wrr), two random counters
// (p2c), and those with two readings of the clock (ewma). Paths that begin with "in"
// have peak EWMA in sets of 10 to 10,000 endpoints that are healthy, all in their slow
// start, a tenth ejected, all down, or of which a third is preferred; "swapped" has the
// slowest picks while sets of 10,000 are replaced.
//
// grpc and go-zero are balancers for gRPC. What is measured is the picker that they
// give to a connection, here to one without a network. go-zero's cannot be had without
// clients for etcd and Kubernetes, so it takes part only if the tag gozero is set:
//
//	GOFLAGS=-tags=gozero go run ./report -bench='^Loadbalance/'
package loadbalance_test

import (
	"strconv"
	"testing"

	"github.com/belay-go/belay/loadbalance"
	"github.com/go-kratos/kratos/v2/selector/p2c"
	"github.com/go-kratos/kratos/v2/selector/wrr"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/balancer/roundrobin"
	"google.golang.org/grpc/balancer/weightedroundrobin"
)

func BenchmarkLoadbalance(b *testing.B) {
	inConditions(b)
	b.Run("swapped", func(b *testing.B) {
		b.Run("belay", func(b *testing.B) { whileSwapped(b, true) })
		b.Run("floor", func(b *testing.B) { whileSwapped(b, false) })
	})
	for _, n := range []int{10, 100, 1000} {
		b.Run("rr-"+strconv.Itoa(n), func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelay(b, n, loadbalance.RoundRobin, mustTakeTurns) })
			b.Run("grpc", func(b *testing.B) { pickGRPC(b, n, roundrobin.Name, mustTakeTurns) })
			b.Run("floor", func(b *testing.B) { count(b, n) })
		})
		b.Run("p2c-"+strconv.Itoa(n), func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelay(b, n, loadbalance.P2C, mustLevel) })
			b.Run("grpc", func(b *testing.B) { pickGRPC(b, n, leastrequest.Name, mustLevel) })
			b.Run("floor", func(b *testing.B) { countPairs(b, n) })
		})
		b.Run("ewma-"+strconv.Itoa(n), func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelay(b, n, nil, mustShun) })
			b.Run("kratos", func(b *testing.B) { pickKratos(b, n, p2c.New(), mustShun) })
			if balancer.Get(gozero) != nil {
				b.Run("go-zero", func(b *testing.B) { pickGRPC(b, n, gozero, mustShun) })
			}
			b.Run("floor", func(b *testing.B) { timePairs(b, n) })
		})
		b.Run("wrr-"+strconv.Itoa(n), func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelay(b, n, loadbalance.Weighted, mustWeigh) })
			b.Run("grpc", func(b *testing.B) { pickGRPC(b, n, weightedroundrobin.Name, mustWeigh) })
			b.Run("kratos", func(b *testing.B) { pickKratos(b, n, wrr.New(), mustWeigh) })
			b.Run("floor", func(b *testing.B) { countTurns(b, n) })
		})
		b.Run("rr-"+strconv.Itoa(n)+"-par", func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelayPar(b, n, loadbalance.RoundRobin) })
			b.Run("grpc", func(b *testing.B) { pickGRPCPar(b, n, roundrobin.Name) })
			b.Run("floor", func(b *testing.B) { countPar(b, n) })
		})
		b.Run("p2c-"+strconv.Itoa(n)+"-par", func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelayPar(b, n, loadbalance.P2C) })
			b.Run("grpc", func(b *testing.B) { pickGRPCPar(b, n, leastrequest.Name) })
			b.Run("floor", func(b *testing.B) { countPairsPar(b, n) })
		})
		b.Run("ewma-"+strconv.Itoa(n)+"-par", func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelayPar(b, n, nil) })
			b.Run("kratos", func(b *testing.B) { pickKratosPar(b, n, p2c.New()) })
			if balancer.Get(gozero) != nil {
				b.Run("go-zero", func(b *testing.B) { pickGRPCPar(b, n, gozero) })
			}
			b.Run("floor", func(b *testing.B) { timePairsPar(b, n) })
		})
		b.Run("wrr-"+strconv.Itoa(n)+"-par", func(b *testing.B) {
			b.Run("belay", func(b *testing.B) { pickBelayPar(b, n, loadbalance.Weighted) })
			b.Run("grpc", func(b *testing.B) { pickGRPCPar(b, n, weightedroundrobin.Name) })
			b.Run("kratos", func(b *testing.B) { pickKratosPar(b, n, wrr.New()) })
			b.Run("floor", func(b *testing.B) { countPar(b, n) })
		})
	}
}
