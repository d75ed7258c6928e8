package facade

import (
	"context"
	"time"
)

// Add is After for any number of dependencies, some of them soft.
func Add(p *Plan[int], name string, on []*Part[int], soft []bool, fn func(context.Context, []int) (int, error)) *Part[int] {
	edges := make([]edge, len(on))
	for i, d := range on {
		edges[i] = edge{def: d.def, index: d.index, soft: soft[i]}
	}
	return add[int](&p.def, name, false, func(ctx context.Context, r *run) (any, error) {
		values := make([]int, len(on))
		for i, d := range on {
			values[i] = d.get(r)
		}
		return box(fn(ctx, values))
	}, edges...)
}

// Stray is what becomes of a panic with value that comes too late, outside of plans.
func Stray(value any) { (*cell)(nil).stray(newPanicked("", value)) }

func Soften(d time.Duration) time.Duration { return soften(d) }

// WhenOdd is When for a part that is true if it is odd.
func WhenOdd(p, on *Part[int]) {
	n := p.option("When")
	n.when = func(r *run) bool { return on.get(r)%2 == 1 }
	n.edges = append(n.edges, on.edge())
}
