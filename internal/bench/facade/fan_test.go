package facade_test

import (
	"context"
	"sync"
	"testing"

	"github.com/belay-go/belay/facade"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
)

// Four functions at once, and the sum of their results.

func fan4Facade(b *testing.B) *facade.Facade[int, int] {
	p := facade.New[int](facade.Config{})
	p1, p2 := facade.Step(p, "1", one), facade.Step(p, "2", one)
	p3, p4 := facade.Step(p, "3", one), facade.Step(p, "4", one)
	return mustBuild(b, p, func(v *facade.Values) (int, error) {
		return p1.Value(v) + p2.Value(v) + p3.Value(v) + p4.Value(v), nil
	})
}

func fan4Errgroup(ctx context.Context, in int) (int, error) {
	var v1, v2, v3, v4 int
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { v1, err = one(ctx, in); return err })
	g.Go(func() (err error) { v2, err = one(ctx, in); return err })
	g.Go(func() (err error) { v3, err = one(ctx, in); return err })
	g.Go(func() (err error) { v4, err = one(ctx, in); return err })
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return v1 + v2 + v3 + v4, nil
}

func fan4Conc(ctx context.Context, in int) (int, error) {
	var v1, v2, v3, v4 int
	p := pool.New().WithContext(ctx).WithCancelOnError()
	p.Go(func(ctx context.Context) (err error) { v1, err = one(ctx, in); return err })
	p.Go(func(ctx context.Context) (err error) { v2, err = one(ctx, in); return err })
	p.Go(func(ctx context.Context) (err error) { v3, err = one(ctx, in); return err })
	p.Go(func(ctx context.Context) (err error) { v4, err = one(ctx, in); return err })
	if err := p.Wait(); err != nil {
		return 0, err
	}
	return v1 + v2 + v3 + v4, nil
}

// fan4WaitGroup drops errors and cannot cancel.
func fan4WaitGroup(ctx context.Context, in int) (int, error) {
	var v1, v2, v3, v4 int
	var wg sync.WaitGroup
	wg.Go(func() { v1, _ = one(ctx, in) })
	wg.Go(func() { v2, _ = one(ctx, in) })
	wg.Go(func() { v3, _ = one(ctx, in) })
	wg.Go(func() { v4, _ = one(ctx, in) })
	wg.Wait()
	return v1 + v2 + v3 + v4, nil
}

func fan4Floor(ctx context.Context, in int) (int, error) {
	sum := 0
	for range 4 {
		v, err := one(ctx, in)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

func fan4(b *testing.B) {
	f := fan4Facade(b)
	serial(b, "belay", 4028, f.Call)
	serial(b, "errgroup", 4028, fan4Errgroup)
	serial(b, "conc", 4028, fan4Conc)
	serial(b, "waitgroup", 4028, fan4WaitGroup)
	serial(b, "floor", 4028, fan4Floor)
}

func fan4Par(b *testing.B) {
	f := fan4Facade(b)
	parallel(b, "belay", 4028, f.Call)
	parallel(b, "errgroup", 4028, fan4Errgroup)
	parallel(b, "conc", 4028, fan4Conc)
	parallel(b, "waitgroup", 4028, fan4WaitGroup)
	parallel(b, "floor", 4028, fan4Floor)
}

// A call costs a thousand times what calling it through a variable does.

func serial(b *testing.B, name string, want int, call func(context.Context, int) (int, error)) {
	b.Run(name, func(b *testing.B) {
		ctx := b.Context()
		mustBe(b, want, func() (int, error) { return call(ctx, 7) })
		b.ReportAllocs()
		for b.Loop() {
			if v, err := call(ctx, 7); v != want || err != nil {
				b.Fatal(v, err)
			}
		}
	})
}

func parallel(b *testing.B, name string, want int, call func(context.Context, int) (int, error)) {
	b.Run(name, func(b *testing.B) {
		ctx := b.Context()
		mustBe(b, want, func() (int, error) { return call(ctx, 7) })
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if v, err := call(ctx, 7); v != want || err != nil {
					b.Error(v, err)
					return
				}
			}
		})
	})
}
