package loadbalance_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/belay-go/belay/loadbalance"
)

func newBelay(n int, policy loadbalance.Policy) *loadbalance.Balancer[int] {
	endpoints := make([]loadbalance.Endpoint[int], n)
	for i := range endpoints {
		endpoints[i] = loadbalance.Endpoint[int]{Key: strconv.Itoa(i), Value: i}
		if policy == loadbalance.Weighted {
			endpoints[i].Weight = float64(weight(i))
		}
	}
	return loadbalance.New(loadbalance.Static(endpoints...), loadbalance.Config{Policy: policy})
}

func pickBelay(b *testing.B, n int, policy loadbalance.Policy, must check) {
	lb, ctx := newBelay(n, policy), context.Background()
	must(b, n, func() (int, func()) {
		p, err := lb.Pick(ctx)
		if err != nil {
			b.Fatal(err)
		}
		return p.Value(), func() { p.Done(loadbalance.Result{}) }
	})
	b.ReportAllocs()
	for b.Loop() {
		p, err := lb.Pick(ctx)
		if err != nil {
			b.Fatal(err)
		}
		p.Done(loadbalance.Result{})
	}
}

func pickBelayPar(b *testing.B, n int, policy loadbalance.Policy) {
	lb, ctx := newBelay(n, policy), context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, err := lb.Pick(ctx)
			if err != nil {
				b.Error(err)
				return
			}
			p.Done(loadbalance.Result{})
		}
	})
}
