package gateway_test

import (
	"context"
	"sync"
	"testing"

	"github.com/belay-go/belay/gateway"
	"golang.org/x/sync/singleflight"
)

//go:noinline
func lookUp(context.Context) (int, error) { return 1, nil }

// mustShare fails the benchmark unless two calls at once are one.
func mustShare(b *testing.B, join func(context.Context, func(context.Context) (int, error)) (int, error)) {
	b.Helper()
	begun, goOn := make(chan bool, 2), make(chan bool)
	fn := func(context.Context) (int, error) {
		begun <- true
		<-goOn
		return 1, nil
	}
	var callers sync.WaitGroup
	calls := make(chan bool, 2)
	for range 2 {
		callers.Go(func() {
			calls <- true
			if v, err := join(b.Context(), fn); v != 1 || err != nil {
				b.Errorf("got %v, %v", v, err)
			}
		})
	}
	<-calls
	<-calls
	<-begun
	close(goOn)
	callers.Wait()
}

func flight(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		var f gateway.Flight[string, int]
		mustShare(b, func(_ context.Context, fn func(context.Context) (int, error)) (int, error) {
			return f.Join(context.Background(), "key", fn)
		})
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Join(ctx, "key", lookUp); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("x-sync", func(b *testing.B) {
		var g singleflight.Group
		ctx := context.Background()
		fn := func() (any, error) { return lookUp(ctx) }
		b.ReportAllocs()
		for b.Loop() {
			v, err, _ := g.Do("key", fn)
			if _, ok := v.(int); !ok || err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		var mu sync.Mutex
		m := map[string]bool{}
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			mu.Lock()
			m["key"] = true
			mu.Unlock()
			if _, err := lookUp(ctx); err != nil {
				b.Fatal(err)
			}
			mu.Lock()
			delete(m, "key")
			mu.Unlock()
		}
	})
}

func flightPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		var f gateway.Flight[int, int]
		ctx := context.Background()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			key := new(int)
			for pb.Next() {
				*key++
				if _, err := f.Join(ctx, *key, lookUp); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("x-sync", func(b *testing.B) {
		var g singleflight.Group
		ctx := context.Background()
		keys := [8]string{"a", "b", "c", "d", "e", "f", "g", "h"} // x/sync has strings only
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			i := 0
			fn := func() (any, error) { return lookUp(ctx) }
			for pb.Next() {
				i++
				if _, err, _ := g.Do(keys[i%8], fn); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func flightCtx(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		var f gateway.Flight[string, int]
		mustShare(b, func(ctx context.Context, fn func(context.Context) (int, error)) (int, error) {
			return f.Join(ctx, "key", fn)
		})
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.Join(ctx, "key", lookUp); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("x-sync", func(b *testing.B) {
		var g singleflight.Group
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		b.ReportAllocs()
		for b.Loop() {
			done := g.DoChan("key", func() (any, error) { return lookUp(ctx) })
			select {
			case r := <-done:
				if _, ok := r.Val.(int); !ok || r.Err != nil {
					b.Fatal(r.Err)
				}
			case <-ctx.Done():
				b.Fatal(ctx.Err())
			}
		}
	})
}
