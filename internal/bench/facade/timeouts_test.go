package facade_test

import (
	"context"
	"testing"
	"time"

	"github.com/belay-go/belay/facade"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
)

// Four functions at once with a timeout of a second each.
func timeouts4(b *testing.B) { timeouts(b, one) }

// The same for functions that look whether their time is up.
func timeouts4Waiting(b *testing.B) { timeouts(b, waiting) }

func timeouts(b *testing.B, fn func(context.Context, int) (int, error)) {
	p := facade.New[int](facade.Config{})
	p1, p2 := facade.Step(p, "1", fn).Timeout(time.Second), facade.Step(p, "2", fn).Timeout(time.Second)
	p3, p4 := facade.Step(p, "3", fn).Timeout(time.Second), facade.Step(p, "4", fn).Timeout(time.Second)
	f := mustBuild(b, p, func(v *facade.Values) (int, error) {
		return p1.Value(v) + p2.Value(v) + p3.Value(v) + p4.Value(v), nil
	})
	limited := func(ctx context.Context, in int) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return fn(ctx, in)
	}
	serial(b, "belay", 4028, f.Call)
	serial(b, "errgroup", 4028, func(ctx context.Context, in int) (int, error) {
		var v1, v2, v3, v4 int
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) { v1, err = limited(ctx, in); return err })
		g.Go(func() (err error) { v2, err = limited(ctx, in); return err })
		g.Go(func() (err error) { v3, err = limited(ctx, in); return err })
		g.Go(func() (err error) { v4, err = limited(ctx, in); return err })
		if err := g.Wait(); err != nil {
			return 0, err
		}
		return v1 + v2 + v3 + v4, nil
	})
	serial(b, "conc", 4028, func(ctx context.Context, in int) (int, error) {
		var v1, v2, v3, v4 int
		p := pool.New().WithContext(ctx).WithCancelOnError()
		p.Go(func(ctx context.Context) (err error) { v1, err = limited(ctx, in); return err })
		p.Go(func(ctx context.Context) (err error) { v2, err = limited(ctx, in); return err })
		p.Go(func(ctx context.Context) (err error) { v3, err = limited(ctx, in); return err })
		p.Go(func(ctx context.Context) (err error) { v4, err = limited(ctx, in); return err })
		if err := p.Wait(); err != nil {
			return 0, err
		}
		return v1 + v2 + v3 + v4, nil
	})
}
