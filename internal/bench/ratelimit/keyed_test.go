package ratelimit_test

import (
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Ten thousand keys are asked for with a Zipf distribution (1.1). Those that can bound
// the number of keys remember all of them, or, where they must evict, a tenth.
const (
	keys = 10_000
	most = 2 * keys
	few  = keys / 10
)

// zipf returns a million keys, or rather a power of two near it, in the order in which
// they are asked for.
func zipf() []string {
	names := make([]string, keys)
	for i := range names {
		names[i] = "tenant-" + strconv.Itoa(i)
	}
	draw := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, keys-1)
	asked := make([]string, 1<<20)
	for i := range asked {
		asked[i] = names[draw.Uint64()]
	}
	return asked
}

// keyed returns what each peer is asked, which remembers as many keys as max. No key
// is ever denied.
func keyed(b *testing.B, max int) map[string]func(key string) bool {
	belay := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Rate: generous, Burst: million, MaxKeys: max})
	cache, err := lru.New[string, *rate.Limiter](max)
	if err != nil {
		b.Fatal(err)
	}
	toll, ctx := generousTollbooth(), b.Context()
	ulule, store := generousUlule(), generousSethvargo(b)
	seed, epoch := maphash.MakeSeed(), time.Now()
	return map[string]func(string) bool{
		"belay": belay.Allow,
		"lru-x-time": func(key string) bool {
			limiter, ok := cache.Get(key)
			if !ok {
				limiter = generousXTime()
				if first, ok, _ := cache.PeekOrAdd(key, limiter); ok {
					limiter = first
				}
			}
			return limiter.Allow()
		},
		"tollbooth": func(key string) bool { return !toll.LimitReached(key) },
		"ulule": func(key string) bool {
			result, err := ulule.Get(ctx, key)
			return err == nil && !result.Reached
		},
		"sethvargo": func(key string) bool {
			_, _, _, ok, err := store.Take(ctx, key)
			return ok && err == nil
		},
		// No limiter by key can do without a hash and a clock.
		"floor": func(key string) bool { return maphash.String(seed, key) != 0 && time.Since(epoch) >= 0 },
	}
}

var keyedPeers = []string{"belay", "lru-x-time", "tollbooth", "ulule", "sethvargo", "floor"}

func keyedZipf(b *testing.B) { ask(b, most, keyedPeers) }

func keyedZipfPar(b *testing.B) { askPar(b, most, keyedPeers) }

// The others cannot bound the number of their keys.
func keyedEvict(b *testing.B) { ask(b, few, keyedPeers[:2]) }

func keyedEvictPar(b *testing.B) { askPar(b, few, keyedPeers[:2]) }

func ask(b *testing.B, max int, peers []string) {
	asked := zipf()
	for _, name := range peers {
		b.Run(name, func(b *testing.B) {
			allow := keyed(b, max)[name]
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if !allow(asked[i&(len(asked)-1)]) {
					b.Fatal("denied")
				}
				i++
			}
		})
	}
}

func askPar(b *testing.B, max int, peers []string) {
	asked := zipf()
	for _, name := range peers {
		b.Run(name, func(b *testing.B) {
			allow := keyed(b, max)[name]
			var starts atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				i := int(starts.Add(1)) * 100_003
				for pb.Next() {
					if !allow(asked[i&(len(asked)-1)]) {
						b.Error("denied")
						return
					}
					i++
				}
			})
		})
	}
}
