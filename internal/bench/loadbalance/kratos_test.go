package loadbalance_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/go-kratos/kratos/v2/registry"
	"github.com/go-kratos/kratos/v2/selector"
)

// fill gives a selector its endpoints.
func fill(s selector.Selector, n int) selector.Selector {
	nodes := make([]selector.Node, n)
	for i := range nodes {
		nodes[i] = selector.NewNode("http", strconv.Itoa(i), &registry.ServiceInstance{
			Metadata: map[string]string{"weight": strconv.Itoa(weight(i))},
		})
	}
	s.Apply(nodes)
	return s
}

func pickKratos(b *testing.B, n int, s selector.Selector, must check) {
	fill(s, n)
	ctx := context.Background()
	must(b, n, func() (int, func()) {
		node, done, err := s.Select(ctx)
		if err != nil {
			b.Fatal(err)
		}
		i, err := strconv.Atoi(node.Address())
		if err != nil {
			b.Fatal(err)
		}
		return i, func() { done(ctx, selector.DoneInfo{}) }
	})
	b.ReportAllocs()
	for b.Loop() {
		_, done, err := s.Select(ctx)
		if err != nil {
			b.Fatal(err)
		}
		done(ctx, selector.DoneInfo{})
	}
}

func pickKratosPar(b *testing.B, n int, s selector.Selector) {
	fill(s, n)
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, done, err := s.Select(ctx)
			if err != nil {
				b.Error(err)
				return
			}
			done(ctx, selector.DoneInfo{})
		}
	})
}
