package facade_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/belay-go/belay/facade"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
)

func plan10(b *testing.B)  { layers(b, 2, 5) }
func plan100(b *testing.B) { layers(b, 20, 5) }

// layers has width parts in each of depth layers, and each but the first needs two
// of the layer before: itself, so to speak, and its neighbour.
func layers(b *testing.B, depth, width int) {
	p := facade.New[int](facade.Config{})
	var layer []*facade.Part[int]
	for i := range width {
		layer = append(layer, facade.Step(p, fmt.Sprint(0, i), one))
	}
	for d := range depth - 1 {
		var next []*facade.Part[int]
		for i := range width {
			next = append(next, facade.After2(p, fmt.Sprint(d+1, i), layer[i], layer[(i+1)%width], both))
		}
		layer = next
	}
	f := mustBuild(b, p, func(v *facade.Values) (int, error) { return layer[0].Value(v), nil })
	want := 1000*depth + 7
	serial(b, "belay", want, f.Call)

	// The peers have no order, and wait after each layer.
	serial(b, "errgroup", want, func(ctx context.Context, in int) (int, error) {
		var last []int
		for d := range depth {
			values := make([]int, width)
			g, ctx := errgroup.WithContext(ctx)
			for i := range width {
				g.Go(func() (err error) {
					if d == 0 {
						values[i], err = one(ctx, in)
					} else {
						values[i], err = both(ctx, last[i], last[(i+1)%width])
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				return 0, err
			}
			last = values
		}
		return last[0], nil
	})
	serial(b, "conc", want, func(ctx context.Context, in int) (int, error) {
		var last []int
		for d := range depth {
			values := make([]int, width)
			p := pool.New().WithContext(ctx).WithCancelOnError()
			for i := range width {
				p.Go(func(ctx context.Context) (err error) {
					if d == 0 {
						values[i], err = one(ctx, in)
					} else {
						values[i], err = both(ctx, last[i], last[(i+1)%width])
					}
					return err
				})
			}
			if err := p.Wait(); err != nil {
				return 0, err
			}
			last = values
		}
		return last[0], nil
	})
}

//go:noinline
func both(_ context.Context, a, b int) (int, error) {
	if a != b {
		return 0, errWrong
	}
	return a + 1000, nil
}
