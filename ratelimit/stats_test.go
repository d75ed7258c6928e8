package ratelimit

import (
	"context"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

func TestLimiterStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Name: "api", Rate: 10, Burst: 4, Queue: 1})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		check := func(what string, want Stats) {
			t.Helper()
			want.Name, want.Limit, want.Burst = "api", 10, 4
			if diff := cmp.Diff(want, l.Stats()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		check("new", Stats{Tokens: 4})
		l.Allow()
		l.AllowN(time.Now(), 1)
		l.Take(1)
		l.Wait(t.Context())
		l.Take(0)
		l.AllowN(time.Now(), 0)
		l.WaitN(t.Context(), 0)
		check("four let through", Stats{Calls: 4})
		l.Allow()
		l.AllowN(time.Now(), 1)
		l.Take(1)
		l.WaitN(t.Context(), 5)
		l.Wait(gone)
		check("five refused", Stats{Calls: 4, Refused: 5})
		var wg sync.WaitGroup
		wg.Go(func() { l.Wait(t.Context()) })
		synctest.Wait()
		l.Wait(t.Context()) // the queue is full
		l.Allow()
		check("one waits", Stats{Calls: 4, Refused: 7, Waiting: 1})
		wg.Wait()
		check("one has waited", Stats{Calls: 5, Refused: 7, Waited: 1})
		time.Sleep(100 * time.Millisecond)
		c, _ := l.Charge(t.Context(), 1)
		c.Settle(1)
		All(l).Wait(t.Context())
		All(l).Wait(gone)
		check("a charge, and with others", Stats{Calls: 7, Refused: 8, Waited: 2})
		l.SetLimit(20)
		l.SetLimit(10)
		check("after changes of the limit", Stats{Calls: 7, Refused: 8, Waited: 2})

		var none *Limiter
		if diff := cmp.Diff(Stats{Limit: rate.Inf, Burst: math.MaxInt, Tokens: math.Inf(1)}, none.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

// Counts are exact however often the limit changes under the calls, and never fall.
func TestLimiterCountsAreExact(t *testing.T) {
	l := New(Config{Rate: rate.Every(time.Hour), Burst: 3000})
	var calls, refused atomic.Uint64
	var stop atomic.Bool
	var others, wg sync.WaitGroup
	others.Go(func() {
		for i := 0; !stop.Load(); i++ {
			l.SetBurst(3000 + i%2)
		}
	})
	others.Go(func() {
		var last Stats
		for !stop.Load() {
			s := l.Stats()
			if s.Calls < last.Calls || s.Refused < last.Refused {
				t.Errorf("%+v after %+v", s, last)
			}
			last = s
		}
	})
	for range 4 {
		wg.Go(func() {
			for range 3000 {
				if l.Allow() {
					calls.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	others.Wait()
	if s := l.Stats(); s.Calls != calls.Load() || s.Refused != refused.Load() {
		t.Errorf("%d and %d counted, want %d and %d", s.Calls, s.Refused, calls.Load(), refused.Load())
	}
}

func TestKeyedStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed(KeyedConfig[string]{Name: "tenant", MaxKeys: 160, For: func(key string) (rate.Limit, int) {
			if key == "free" {
				return rate.Inf, 1
			}
			return 10, 2
		}})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		check := func(what string, want KeyedStats) {
			t.Helper()
			want.Name = "tenant"
			if diff := cmp.Diff(want, k.Stats()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		check("new", KeyedStats{})
		k.Allow("a")
		k.Take("a", 1)
		k.Wait(t.Context(), "b")
		k.Allow("free")
		k.Take("b", 0)
		k.Take("free", 0)
		check("four let through", KeyedStats{Keys: 2, Calls: 4})
		k.Allow("a")
		k.Take("a", 1)
		k.WaitN(t.Context(), "a", 3)
		k.Wait(gone, "a")
		check("four refused", KeyedStats{Keys: 2, Calls: 4, Refused: 4})
		var wg sync.WaitGroup
		wg.Go(func() { k.Wait(t.Context(), "a") })
		synctest.Wait()
		k.Allow("a")
		check("one waits", KeyedStats{Keys: 2, Waiting: 1, Calls: 4, Refused: 5})
		wg.Wait()
		check("one has waited", KeyedStats{Keys: 2, Calls: 5, Refused: 5, Waited: 1})
		for i := range 1000 {
			k.Allow(strconv.Itoa(i))
		}
		if s := k.Stats(); s.Keys != 160 || s.Evicted < 160 || s.Calls+s.Refused != 10+1000 {
			t.Errorf("after a thousand more keys: %+v", s)
		}
		var none *Keyed[string]
		if none.Stats() != (KeyedStats{}) {
			t.Errorf("%+v", none.Stats())
		}
	})
}

// Counts are exact however often keys make room for others, and never fall.
func TestKeyedCountsAreExact(t *testing.T) {
	k := NewKeyed(KeyedConfig[int]{Rate: 1000, Burst: 2, MaxKeys: 64, Queue: 4})
	var calls, refused atomic.Uint64
	var stop atomic.Bool
	var others, wg sync.WaitGroup
	others.Go(func() {
		var last KeyedStats
		for i := 0; !stop.Load(); i++ {
			s := k.Stats()
			if s.Calls < last.Calls || s.Refused < last.Refused || s.Waited < last.Waited || s.Evicted < last.Evicted || s.Waited > s.Calls {
				t.Errorf("%+v after %+v", s, last)
			}
			last = s
			k.Delete(i % 200)
		}
	})
	for g := range 4 {
		wg.Go(func() {
			for i := range 3000 {
				key := (i*7 + g) % 200
				var ok bool
				switch i % 10 {
				case 0:
					ok = k.Take(key, 1+i%3).OK
				case 1:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%3)*time.Millisecond)
					ok = k.Wait(ctx, key%5) == nil
					cancel()
				default:
					ok = k.Allow(key)
				}
				if ok {
					calls.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	others.Wait()
	if s := k.Stats(); s.Calls != calls.Load() || s.Refused != refused.Load() || s.Waiting != 0 {
		t.Errorf("%+v, want %d calls and %d refused", s, calls.Load(), refused.Load())
	}
}

func TestKeyedLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		k := NewKeyed(KeyedConfig[int]{Rate: 1, Label: func(key int) string { return "tenant " + strconv.Itoa(key) },
			Observe: func(_ context.Context, e Event) { got = append(got, e.Key+" "+e.Kind.String()) }})
		k.Allow(1)
		k.Take(1, 1)
		k.Wait(t.Context(), 1)
		k.Wait(t.Context(), 2)
		if diff := cmp.Diff([]string{"tenant 1 admitted", "tenant 1 refused", "tenant 1 admitted", "tenant 2 admitted"}, got); diff != "" {
			t.Error(diff)
		}
		NewKeyed(KeyedConfig[int]{Rate: 1, Label: func(int) string { panic("label") }}).Allow(1) // nobody looks
	})
}

func TestBulkheadStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Name: "db", Limit: 2, Queue: 1})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		check := func(what string, want BulkheadStats) {
			t.Helper()
			want.Name, want.Limit = "db", 2
			if diff := cmp.Diff(want, b.Stats()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
		p, _ := b.Allow()
		q, _ := b.Acquire(t.Context())
		b.AllowN(0)
		b.AcquireN(t.Context(), 0)
		check("two let through", BulkheadStats{InUse: 2, Calls: 2})
		b.Allow()
		b.AllowN(2)
		b.AcquireN(t.Context(), 3)
		b.Acquire(gone)
		check("four refused", BulkheadStats{InUse: 2, Calls: 2, Refused: 4})
		var wg sync.WaitGroup
		wg.Go(func() {
			r, err := b.AcquireN(t.Context(), 2)
			if err != nil {
				t.Error(err)
			}
			r.Done()
		})
		synctest.Wait()
		b.Acquire(t.Context()) // the queue is full
		check("one waits", BulkheadStats{InUse: 2, Waiting: 1, Calls: 2, Refused: 5})
		p.Done()
		q.Done()
		wg.Wait()
		check("one has waited", BulkheadStats{Calls: 3, Waited: 1, Refused: 5})
	})
}

// Counts are exact however often the limit changes under the calls, and never fall.
func TestBulkheadCountsAreExact(t *testing.T) {
	b := NewBulkhead(BulkheadConfig{Limit: 3, Queue: 2})
	var calls, refused atomic.Uint64
	var stop atomic.Bool
	var others, wg sync.WaitGroup
	others.Go(func() {
		var last BulkheadStats
		for i := 0; !stop.Load(); i++ {
			s := b.Stats()
			if s.Calls < last.Calls || s.Refused < last.Refused || s.Waited < last.Waited || s.Waited > s.Calls {
				t.Errorf("%+v after %+v", s, last)
			}
			last = s
			b.SetLimit(2 + i%3)
			runtime.Gosched()
		}
	})
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				var p Permit
				var err error
				switch (i + g) % 4 {
				case 0:
					p, err = b.Allow()
				case 1:
					p, err = b.AllowN(2)
				case 2:
					p, err = b.Acquire(t.Context())
				case 3:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%3)*100*time.Microsecond)
					p, err = b.AcquireN(ctx, 2)
					cancel()
				}
				if err != nil {
					refused.Add(1)
					continue
				}
				calls.Add(1)
				if i%5 == 0 {
					runtime.Gosched()
				}
				p.Done()
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	others.Wait()
	s := b.Stats()
	if s.Calls != calls.Load() || s.Refused != refused.Load() || s.InUse != 0 || s.Waiting != 0 {
		t.Errorf("%+v, want %d calls and %d refused", s, calls.Load(), refused.Load())
	}
	if s.Refused == 0 || s.Waited == 0 {
		t.Errorf("nothing has happened: %+v", s)
	}
}

// The number of calls goes on when it has filled the word that it shares with the places.
func TestBulkheadCountsBeyondItsWord(t *testing.T) {
	for name, call := range map[string]func(t *testing.T, b *Bulkhead){
		"Allow": func(t *testing.T, b *Bulkhead) {
			if p, err := b.Allow(); err != nil {
				t.Error(err)
			} else {
				p.Done()
			}
		},
		"Acquire": func(t *testing.T, b *Bulkhead) {
			if p, err := b.Acquire(t.Context()); err != nil {
				t.Error(err)
			} else {
				p.Done()
			}
		},
		"waiting": func(t *testing.T, b *Bulkhead) {
			p, err := b.AllowN(2)
			if err != nil {
				t.Error(err)
			}
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					if p, err := b.AcquireN(t.Context(), 2); err != nil {
						t.Error(err)
					} else {
						p.Done()
					}
				})
			}
			synctest.Wait()
			p.Done()
			wg.Wait()
		},
	} {
		for _, queue := range []int{-1, 2} {
			if name == "waiting" && queue < 0 {
				continue
			}
			for before := range uint64(8) {
				synctest.Test(t, func(t *testing.T) {
					b := NewBulkhead(BulkheadConfig{Limit: 2, Queue: queue})
					start := 2*halfCalls - before
					b.word.Add(int64(start << placeBits))
					last := b.Stats().Calls
					if last != start {
						t.Fatalf("%d calls at first, want %d", last, start)
					}
					for range 5 {
						call(t, b)
						slow := b.word.Load() < 0
						call(t, b)
						if slow && b.word.Load() < 0 {
							t.Error("calls still take the slow way")
						}
						s := b.Stats()
						if more := s.Calls - last; more != 2 && (name != "waiting" || more != 6) || s.InUse != 0 || s.Refused != 0 {
							t.Fatalf("%s, queue %d, %d before the end: %+v after %d calls", name, queue, before, s, last)
						}
						last = s.Calls
					}
				})
			}
		}
	}
}

// A call that has found a bucket which another replaced meanwhile is counted all the same.
func TestLateCallsCount(t *testing.T) {
	l := New(Config{Rate: 1, Burst: 2})
	old := l.bucket.Load()
	l.count(old, true)
	l.SetBurst(3)
	for range 2 {
		l.count(old, true)
		l.count(old, false)
	}
	if s := l.Stats(); s.Calls != 3 || s.Refused != 2 {
		t.Errorf("%d calls and %d refused, want 3 and 2", s.Calls, s.Refused)
	}
}
