package breaker_test

import (
	"testing"

	"github.com/belay-go/belay/breaker"
)

// No peer has breakers by key in bounded memory. The floor of a new key is the breaker
// itself.

func setGet(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		set := breaker.NewSet(breaker.SetConfig[string]{})
		set.Get("a")
		b.ReportAllocs()
		for b.Loop() {
			if set.Get("a") == nil {
				b.Fatal("no breaker")
			}
		}
	})
}

func setGetPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		set := breaker.NewSet(breaker.SetConfig[string]{})
		set.Get("a")
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if set.Get("a") == nil {
					b.Error("no breaker")
					return
				}
			}
		})
	})
}

// setNew asks a full Set for keys that it does not have, while every eighth of those
// that it has is in use.
func setNew(keys int) func(*testing.B) {
	return func(b *testing.B) {
		b.Run("belay", func(b *testing.B) {
			cfg := breaker.Config{Name: "a"}
			set := breaker.NewSet(breaker.SetConfig[int]{MaxKeys: keys, Config: func(int) breaker.Config { return cfg }})
			next := 0
			for ; next < keys; next++ {
				set.Get(next)
			}
			b.ReportAllocs()
			for b.Loop() {
				set.Get(next)
				set.Get(next * 7919 % (keys / 8))
				next++
			}
		})
		b.Run("floor", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if breaker.New(breaker.Config{Name: "a"}) == nil {
					b.Fatal("no breaker")
				}
			}
		})
	}
}

// setStats reads the Stats of 10,000 breakers, as a scrape does.
func setStats(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		const keys = 10_000
		set := breaker.NewSet(breaker.SetConfig[int]{MaxKeys: keys})
		for k := range keys {
			breaker.Do(b.Context(), set.Get(k), succeed)
		}
		b.ReportAllocs()
		for b.Loop() {
			calls := uint64(0)
			for _, br := range set.All() {
				calls += br.Stats().Calls
			}
			if calls != keys || set.Stats().Keys != keys {
				b.Fatal(calls)
			}
		}
	})
}
