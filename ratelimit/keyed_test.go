package ratelimit

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

// P9: as long as only full buckets must be forgotten, a Keyed is a Limiter for each
// key; and when others must, it is one that lets less through, never more.
func FuzzKeyed(f *testing.F) {
	f.Add(uint64(1), uint16(1000), uint8(20))
	f.Add(uint64(2), uint16(3000), uint8(200))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16, keys uint8) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9))
			limit := func(key int) (rate.Limit, int) { return rate.Limit(1 + key%3), 1 + key%5 }
			roomy := NewKeyed(KeyedConfig[int]{For: limit, MaxKeys: 16 * 256})
			tight := NewKeyed(KeyedConfig[int]{For: limit, MaxKeys: 16})
			alone := map[int]*Limiter{}
			tightAlone := map[int]*Limiter{}
			for i := range steps % 4096 {
				time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
				key := r.IntN(int(keys) + 1)
				n := r.IntN(6)
				if alone[key] == nil {
					lim, burst := limit(key)
					alone[key] = New(Config{Rate: lim, Burst: burst})
					tightAlone[key] = New(Config{Rate: lim, Burst: burst})
				}
				want, got := alone[key].Take(n), roomy.Take(key, n)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("step %d, key %d: %s", i, key, diff)
				}
				if r.IntN(50) == 0 {
					roomy.Delete(key)
					alone[key] = nil
				}
				if tight.Take(key, n).OK && !tightAlone[key].AllowN(time.Now(), n) {
					t.Fatalf("step %d: key %d got more than its limit by being forgotten", i, key)
				}
				if tight.Stats().Keys > 16 {
					t.Fatalf("step %d: %d keys", i, tight.Stats().Keys)
				}
			}
			for i := range tight.shards {
				checkShard(t, tight, i)
				checkShard(t, roomy, i)
			}
		})
	})
}

// checkShard checks that every key can be found.
func checkShard[K comparable](t *testing.T, k *Keyed[K], i int) {
	t.Helper()
	shard, n := &k.shards[i], 0
	s := &shard.table
	for j := range s.slots {
		if s.hashes[j] == 0 {
			continue
		}
		n++
		of, hash := k.shard(s.slots[j].key)
		if at, ok := s.find(hash, s.slots[j].key); of != shard || hash != s.hashes[j] || !ok || at != j {
			t.Errorf("key %v in slot %d is found in %d, %v", s.slots[j].key, j, at, ok)
		}
	}
	if n != s.used || n > s.max {
		t.Errorf("%d keys, counted %d, at most %d", n, s.used, s.max)
	}
}

// A million keys that an attacker chooses stay within the bound, and do not help those
// that have used up their tokens; a key that was not there before is not shut out.
func TestAttackersKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed(KeyedConfig[string]{Rate: rate.Every(time.Minute), Burst: 5, MaxKeys: 1000})
		for range 5 {
			if !k.Allow("attacker") {
				t.Fatal("denied")
			}
		}
		refused := 0
		for i := range 1_000_000 {
			if !k.Allow(strconv.Itoa(i)) {
				refused++
			}
			if i%10_000 == 0 && k.Allow("attacker") {
				t.Fatalf("a fresh bucket after %d other keys", i)
			}
		}
		if n := k.Stats().Keys; n > 1000 {
			t.Errorf("%d keys", n)
		}
		if refused < 900_000 {
			t.Errorf("only %d of the million refused", refused)
		}
		// What the records of debts keep from others is over when the debts are.
		time.Sleep(5 * time.Minute)
		for i := range 1000 {
			if !k.Allow("new " + strconv.Itoa(i)) {
				t.Fatalf("new key %d is shut out", i)
			}
		}
	})
}

// Those whose buckets are full go first, whoever was used last.
func TestFullBucketsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed(KeyedConfig[int]{For: func(key int) (rate.Limit, int) {
			if key < 8 {
				return rate.Every(time.Hour), 1 // long in debt
			}
			return 1000, 1
		}, MaxKeys: 16 * 16})
		for key := range 8 {
			k.Allow(key)
		}
		for key := 8; key < 10_000; key++ {
			if !k.Allow(key) {
				t.Fatalf("key %d shares a debt, so one was forgotten that was not full", key)
			}
			time.Sleep(time.Millisecond)
		}
		for key := range 8 {
			if k.Allow(key) {
				t.Errorf("key %d was forgotten", key)
			}
		}
	})
}

// A debt that a key finds in its place keeps it out for no longer than one of its own
// could have.
func TestDebtsOfOthersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed(KeyedConfig[int]{For: func(key int) (rate.Limit, int) {
			if key == 0 {
				return rate.Every(time.Hour), 1
			}
			return 10, 1
		}, MaxKeys: 16})
		of, _ := k.shard(0)
		var others []int // in the same part, which has room for one
		for key := 1; len(others) < 2; key++ {
			if s, _ := k.shard(key); s == of {
				others = append(others, key)
			}
		}
		if !k.Allow(0) || !k.Allow(others[0]) || k.Allow(0) {
			t.Fatal("the first key was not forgotten with its debt")
		}
		if d := k.Take(others[1], 1); d.OK || d.RetryAfter != 100*time.Millisecond {
			t.Errorf("a new key in its place: %+v", d)
		}
	})
}

func TestKeyedBytesPerKey(t *testing.T) {
	names := make([]string, 60_000)
	for i := range names {
		names[i] = "tenant-" + strconv.Itoa(i)
	}
	k := NewKeyed(KeyedConfig[string]{Rate: rate.Every(time.Hour), Burst: 5})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for _, name := range names {
		k.Allow(name)
	}
	if got := float64(heap()-before) / float64(k.Stats().Keys); got > 64 {
		t.Errorf("%.0f bytes a key", got)
	}
	runtime.KeepAlive(names)
}

func TestKeyedConcurrently(t *testing.T) {
	k := NewKeyed(KeyedConfig[int]{Rate: rate.Every(time.Hour), Burst: 10, MaxKeys: 4096})
	var granted [100]atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				if key := (i*7 + w) % 100; k.Allow(key) {
					granted[key].Add(1)
				}
				if i%100 == 0 {
					k.Stats()
					k.Delete(100 + w)
					k.Allow(1000 + i)
				}
			}
		})
	}
	wg.Wait()
	for key := range granted {
		if n := granted[key].Load(); n != 10 {
			t.Errorf("key %d: %d granted, want 10", key, n)
		}
	}
}

func TestKeyedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed(KeyedConfig[string]{Rate: 10, Queue: 3})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 4 {
			for _, key := range []string{"a", "b"} {
				wg.Go(func() {
					if err := k.Wait(t.Context(), key); err != nil || time.Since(start) != time.Duration(i)*100*time.Millisecond {
						t.Errorf("%s %d: %v after %v", key, i, err, time.Since(start))
					}
				})
			}
			synctest.Wait()
		}
		if k.Allow("a") || k.Take("a", 1).RetryAfter != 400*time.Millisecond || !k.Allow("c") {
			t.Errorf("jumped the queue, or waits behind another key: %+v", k.Take("a", 1))
		}
		if err := k.Wait(t.Context(), "a"); !errors.Is(err, ErrFull) {
			t.Errorf("%v in a full queue", err)
		}
		if err := k.WaitN(t.Context(), "a", 2); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v for more than the burst", err)
		}
		wg.Wait()
		for i := range k.shards {
			if n := len(k.shards[i].queues); n != 0 {
				t.Errorf("%d queues are left", n)
			}
		}
	})
}

func TestKeyedLimits(t *testing.T) {
	k := NewKeyed(KeyedConfig[rate.Limit]{For: func(r rate.Limit) (rate.Limit, int) { return r, -3 }})
	for _, r := range []rate.Limit{0, -1} {
		if d := k.Take(r, 1); d.OK || d.RetryAfter != 0 {
			t.Errorf("rate %v: %+v", r, d)
		}
		if d := k.Take(r, 0); !d.OK {
			t.Errorf("rate %v: %+v for nothing", r, d)
		}
	}
	for range 100 {
		if !k.Allow(rate.Inf) {
			t.Error("limited")
		}
	}
	if !k.Allow(1e-5) || k.Allow(1e-5) {
		t.Error("a burst below 1 is 1")
	}
	var none *Keyed[int]
	if none.Delete(1); !none.Allow(1) || !none.Take(1, 5).OK || none.Stats().Keys != 0 || none.Wait(t.Context(), 1) != nil {
		t.Error("a nil *Keyed limits")
	}
	if err := (KeyedConfig[int]{MaxKeys: -1, Queue: 1 << 30}).Validate(); err == nil || strings.Count(err.Error(), "ratelimit: KeyedConfig.") != 3 {
		t.Errorf("Validate: %v", err)
	}
}

func TestKeyedDoesNotAllocate(t *testing.T) {
	k := NewKeyed(KeyedConfig[string]{Rate: 1e9, Burst: 1 << 30})
	byKey := NewKeyed(KeyedConfig[[8]byte]{For: func([8]byte) (rate.Limit, int) { return 1, 1 }, MaxKeys: 1600})
	i := uint64(0)
	for name, f := range map[string]func(){
		"known": func() { k.Allow("a") },
		"take":  func() { k.Take("a", 2) },
		"new": func() {
			i++
			var key [8]byte
			binary.LittleEndian.PutUint64(key[:], i)
			byKey.Allow(key)
		},
	} {
		for range 10_000 {
			f() // until the table is as large as it gets
		}
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
