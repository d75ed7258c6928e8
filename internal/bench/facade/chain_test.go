package facade_test

import (
	"context"
	"testing"

	"github.com/belay-go/belay/facade"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
)

// Four functions, of which each needs the result of the one before. The peers have no
// order: as one task each has nothing to do, so that they are given a task for each
// function, and wait in between.
func chain4(b *testing.B) {
	p := facade.New[int](facade.Config{})
	p1 := facade.Step(p, "1", one)
	p2 := facade.After(p, "2", p1, one)
	p3 := facade.After(p, "3", p2, one)
	p4 := facade.After(p, "4", p3, one)
	f := mustBuild(b, p, func(v *facade.Values) (int, error) { return p4.Value(v), nil })
	serial(b, "belay", 4007, f.Call)
	serial(b, "errgroup", 4007, func(ctx context.Context, v int) (int, error) {
		for range 4 {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() (err error) { v, err = one(ctx, v); return err })
			if err := g.Wait(); err != nil {
				return 0, err
			}
		}
		return v, nil
	})
	serial(b, "conc", 4007, func(ctx context.Context, v int) (int, error) {
		for range 4 {
			p := pool.New().WithContext(ctx).WithCancelOnError()
			p.Go(func(ctx context.Context) (err error) { v, err = one(ctx, v); return err })
			if err := p.Wait(); err != nil {
				return 0, err
			}
		}
		return v, nil
	})
	serial(b, "floor", 4007, func(ctx context.Context, v int) (_ int, err error) {
		for range 4 {
			if v, err = one(ctx, v); err != nil {
				return 0, err
			}
		}
		return v, nil
	})
}
