package ratelimit

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// limits are what For answers in tests that change it.
type limits struct {
	mu    sync.Mutex
	limit rate.Limit
	burst int
}

func (l *limits) set(limit rate.Limit, burst int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.burst = limit, burst
}

func (l *limits) of(string) (rate.Limit, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit, l.burst
}

// A key that was used up at a low limit has the raised one at once: it holds no tokens,
// and gets them at the new rate.
func TestKeyedRaisedLimitHoldsAtOnce(t *testing.T) {
	for name, maxKeys := range map[string]int{"remembered": 1000, "forgotten, with its debt kept": 16} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &limits{limit: rate.Every(time.Hour), burst: 10}
				k := NewKeyed(KeyedConfig[string]{For: l.of, MaxKeys: maxKeys})
				if !k.Take("a", 10).OK || k.Allow("a") {
					t.Fatal("the low limit does not hold")
				}
				for i := range 100 {
					k.Allow(strconv.Itoa(i))
				}
				l.set(1000, 10)
				d := k.Take("a", 1)
				if d.OK || d.RetryAfter != time.Millisecond || d.ResetAfter != 10*time.Millisecond || d.Remaining != 0 {
					t.Errorf("%+v right after the limit was raised", d)
				}
				for i := range 20 {
					if time.Sleep(time.Millisecond); !k.Allow("a") || k.Allow("a") {
						t.Errorf("not one token after %d ms", i+1)
					}
				}
				if time.Sleep(time.Second); !k.Take("a", 10).OK {
					t.Error("the bucket did not fill at the new rate")
				}
			})
		})
	}
}

// Those that wait have the raised limit when the next call for the key comes, or within
// a second.
func TestKeyedRaisedLimitReachesWaiters(t *testing.T) {
	for name, tt := range map[string]struct {
		call func(*Keyed[string])
		most time.Duration
	}{
		"Allow":    {func(k *Keyed[string]) { k.Allow("a") }, 4 * time.Millisecond},
		"Take":     {func(k *Keyed[string]) { k.Take("a", 1) }, 4 * time.Millisecond},
		"Wait":     {func(k *Keyed[string]) { k.Wait(context.Background(), "a") }, 4 * time.Millisecond},
		"Delete":   {func(k *Keyed[string]) { k.Delete("a") }, time.Second + 4*time.Millisecond},
		"no call":  {func(*Keyed[string]) {}, time.Second + 4*time.Millisecond},
		"another":  {func(k *Keyed[string]) { k.Allow("b") }, time.Second + 4*time.Millisecond},
		"too much": {func(k *Keyed[string]) { k.Take("a", 99) }, 4 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &limits{limit: rate.Every(time.Hour), burst: 1}
				k := NewKeyed(KeyedConfig[string]{For: l.of})
				k.Allow("a")
				var raised time.Time
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						if err := k.Wait(t.Context(), "a"); err != nil || time.Since(raised) > tt.most {
							t.Errorf("%v, %v after the limit was raised", err, time.Since(raised))
						}
					})
				}
				time.Sleep(10*time.Minute + 1)
				raised = time.Now()
				l.set(1000, 10)
				tt.call(k)
				wg.Wait()
			})
		})
	}
}

// A call that does not wait is let through if the raised limit has tokens for all that
// wait, and for it.
func TestKeyedRaisedLimitServesAllThatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limits{limit: rate.Every(time.Hour), burst: 1}
		k := NewKeyed(KeyedConfig[string]{For: l.of})
		k.Allow("a")
		var wg sync.WaitGroup
		wg.Go(func() { k.Wait(t.Context(), "a") })
		synctest.Wait()
		l.set(rate.Inf, 1)
		if !k.Allow("a") {
			t.Error("refused without a limit")
		}
		wg.Wait()
	})
}

// A call for a key that has no limit any more lets go those that wait.
func TestKeyedLimitThatIsTakenAwayReachesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limits{limit: rate.Every(time.Hour), burst: 1}
		k := NewKeyed(KeyedConfig[string]{For: l.of})
		k.Allow("a")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				start := time.Now()
				if err := k.Wait(t.Context(), "a"); err != nil || time.Since(start) != time.Minute {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		}
		time.Sleep(time.Minute)
		l.set(rate.Inf, 1)
		if d := k.Take("a", 5); !d.OK || d.Window != 0 {
			t.Errorf("%+v without a limit", d)
		}
		wg.Wait()
	})
}

// A key that is deleted has a full bucket, for those that wait too.
func TestKeyedDeleteServesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed(KeyedConfig[string]{Rate: rate.Every(time.Hour), Burst: 2})
		k.Take("a", 2)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := k.Wait(t.Context(), "a"); err != nil || time.Since(start) != time.Minute {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
		time.Sleep(time.Minute)
		k.Delete("a")
		wg.Wait()
	})
}

// A For that panics for a call that waits panics there, and leaves nothing behind.
func TestKeyedForPanicsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		k := NewKeyed(KeyedConfig[string]{For: func(string) (rate.Limit, int) {
			if broken.Load() {
				panic("for")
			}
			return rate.Every(time.Hour), 1
		}})
		k.Allow("a")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				defer func() {
					if recover() != "for" {
						t.Error("the panic did not pass")
					}
				}()
				k.Wait(t.Context(), "a")
			})
		}
		synctest.Wait()
		broken.Store(true)
		wg.Wait()
		broken.Store(false)
		if _, waits := queueOf(k, "a"); waits {
			t.Error("a queue is left")
		}
		if time.Sleep(time.Hour); !k.Allow("a") {
			t.Error("those that left have taken a token")
		}
	})
}

func queueOf[K comparable](k *Keyed[K], key K) (*keyQueue, bool) {
	s, _ := k.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.queues[key]
	return q, ok
}

// A NaN is a new key each time, and leaves no trace.
func TestKeyedNaN(t *testing.T) {
	k := NewKeyed(KeyedConfig[float64]{Rate: rate.Every(time.Hour), Burst: 2})
	for range 1000 {
		if !k.Take(math.NaN(), 2).OK || k.Wait(t.Context(), math.NaN()) != nil {
			t.Fatal("refused")
		}
		if err := k.WaitN(t.Context(), math.NaN(), 3); !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		k.Delete(math.NaN())
	}
	if k.Stats().Keys != 0 {
		t.Errorf("%d keys", k.Stats().Keys)
	}
	for i := range k.shards {
		if n := len(k.shards[i].queues); n != 0 {
			t.Errorf("%d queues are left", n)
		}
	}
}

// A key that cannot be hashed panics, and holds no lock.
func TestKeyedKeyThatCannotBeHashed(t *testing.T) {
	k := NewKeyed(KeyedConfig[any]{Rate: rate.Every(time.Hour)})
	for _, f := range []func(any){
		func(key any) { k.Allow(key) }, func(key any) { k.Take(key, 1) }, func(key any) { k.Wait(t.Context(), key) }, k.Delete,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f([]int{1})
		}()
	}
	for i := range 1000 {
		if !k.Allow(i) {
			t.Fatal("refused")
		}
	}
	if k.Stats().Keys != 1000 {
		t.Errorf("%d keys", k.Stats().Keys)
	}
}

// Up to MaxKeys*Rate new keys in a second each have a full bucket. Beyond that they
// begin with what others have left, which the documentation says with its number.
func TestKeyedNewKeysBelowMaxKeysTimesRate(t *testing.T) {
	refused := func(perSecond, maxKeys int) (share float64) {
		synctest.Test(t, func(t *testing.T) {
			k := NewKeyed(KeyedConfig[int]{Rate: 0.01, Burst: 10, MaxKeys: maxKeys})
			const span = 2000 // seconds: a bucket fills in half of them
			n, no := 0, 0
			for key := range span * perSecond {
				if key >= span*perSecond/2 {
					if n++; !k.Allow(key) {
						no++
					}
				} else {
					k.Allow(key)
				}
				time.Sleep(time.Second / time.Duration(perSecond))
			}
			share = float64(no) / float64(n)
		})
		return share
	}
	const maxKeys = 8192 // times Rate: 82 a second
	few, many := refused(60, maxKeys), refused(400, maxKeys)
	if few != 0 || many < 0.3 {
		t.Errorf("with 60 new keys a second %.1f %% are refused, with 400 %.1f %%", 100*few, 100*many)
	}
	if room := refused(400, 0); room != 0 {
		t.Errorf("with the default of MaxKeys %.1f %% are refused", 100*room)
	}
}

func TestMaxKeysFitsTheBucket(t *testing.T) {
	for _, tt := range []struct {
		limit rate.Limit
		burst int
		want  int
	}{
		{10, 50, 65_536}, {1, 100, 100_000}, {0.01, 10, 1_000_000}, {rate.Every(24 * time.Hour), 100, 1 << 20}, {rate.Inf, 5, 65_536},
	} {
		k := NewKeyed(KeyedConfig[int]{Rate: tt.limit, Burst: tt.burst})
		sum := 0
		for i := range k.shards {
			sum += k.shards[i].table.max
		}
		if sum != tt.want {
			t.Errorf("rate %v, burst %d: %d keys, want %d", tt.limit, tt.burst, sum, tt.want)
		}
	}
}

// Calls that wait for one key do not slow down those for the others: each part has its
// own lock, and its own queues.
func TestKeyedQueuesBelongToShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed(KeyedConfig[int]{Rate: 10, Queue: 100})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for key := range 200 {
			k.Allow(key)
			wg.Go(func() { k.Wait(ctx, key) })
		}
		synctest.Wait()
		for i := range k.shards {
			s := &k.shards[i]
			s.mu.Lock()
			for key := range s.queues {
				if of, _ := k.shard(key); of != s {
					t.Errorf("the queue for %d is in part %d", key, i)
				}
			}
			if len(s.queues) == 0 || len(s.queues) > 60 {
				t.Errorf("part %d has %d of 200 queues", i, len(s.queues))
			}
			s.mu.Unlock()
		}
		cancel()
		wg.Wait()
	})
}
