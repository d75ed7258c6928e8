package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

// A memStore is a Store in memory, which counts whole microseconds as the one on Redis.
type memStore struct {
	mu    sync.Mutex
	epoch time.Time
	skew  time.Duration // of the clock
	keys  map[string]*schedule
	asked int
	most  int // tokens of the greatest lease

	delay  time.Duration
	broken error
	hang   bool // it ignores the end of the context, too
}

type schedule struct {
	end    int64
	owners map[string]int64
}

func newMemStore() *memStore { return &memStore{epoch: time.Now(), keys: map[string]*schedule{}} }

func (m *memStore) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *memStore) trips() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *memStore) Lease(ctx context.Context, key string, r LeaseRequest) (Lease, error) {
	m.mu.Lock()
	m.asked++
	delay, broken, hang := m.delay, m.broken, m.hang
	m.mu.Unlock()
	if hang {
		time.Sleep(time.Hour)
	}
	if delay > 0 {
		select {
		case <-time.After(delay / 2):
		case <-ctx.Done():
			return Lease{}, ctx.Err()
		}
	}
	if broken != nil {
		return Lease{}, broken
	}
	lease := m.lease(key, r)
	time.Sleep(delay - delay/2)
	return lease, nil
}

func (m *memStore) lease(key string, r LeaseRequest) Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := (time.Since(m.epoch) + m.skew).Microseconds()
	s := m.keys[key]
	if s == nil {
		s = &schedule{owners: map[string]int64{}}
		m.keys[key] = s
	}
	if s.owners[r.Owner] = now + r.Keep.Microseconds(); r.Keep == 0 {
		delete(s.owners, r.Owner)
	}
	for owner, until := range s.owners {
		if until < now {
			delete(s.owners, owner)
		}
	}
	micros := func(n int) int64 { return int64(math.Ceil(float64(n) * float64(r.Interval) / 1000)) }
	most := now + micros(r.Burst) + r.Within.Microseconds()
	s.end = min(max(s.end, now), now+micros(r.Burst+r.N)+r.Ahead.Microseconds())
	if r.Back == s.end {
		s.end = max(now, s.end-int64(float64(r.BackN)*float64(r.Interval)/1000))
	}
	l := Lease{Begin: time.Duration(s.end-now) * time.Microsecond, Owners: len(s.owners), End: s.end}
	if room := int(min(float64(most-s.end)*1000/float64(r.Interval), float64(r.N))); r.N > 0 && room >= r.Least {
		l.N = room
		s.end += micros(room)
		l.End = s.end
		m.most = max(m.most, room)
	} else if r.N > 0 {
		l.RetryAfter = time.Duration(s.end+micros(r.Least)-micros(r.Burst)-now) * time.Microsecond
	}
	return l
}

// record keeps when calls were let through.
type record struct {
	mu    sync.Mutex
	times []time.Time
}

func (r *record) add() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, time.Now())
}

// over is by how many calls burst + perSecond*t was exceeded in the worst span t.
func (r *record) over(perSecond rate.Limit, burst float64) (worst float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.times, time.Time.Compare)
	tokens, last := burst, time.Time{}
	for _, t := range r.times {
		if !last.IsZero() {
			tokens = min(burst, tokens+t.Sub(last).Seconds()*float64(perSecond))
		}
		last = t
		if tokens--; tokens < 0 {
			worst, tokens = max(worst, -tokens), max(tokens, -1e9)
		}
	}
	return worst
}

// inBubble runs f in a bubble, and waits for the questions that are under way at its end.
func inBubble(t *testing.T, f func(*testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(2 * time.Hour)
	})
}

// Four processes whose callers all wait get the whole rate and no more, with at most 20
// questions for 1,000 calls.
func TestSharedHoldsTheRate(t *testing.T) {
	for _, burst := range []int{1, 10, 100} {
		for _, delay := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
			t.Run(fmt.Sprintf("burst %d, store answers in %v", burst, delay), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					const perSecond, span = 1000, 10 * time.Second
					store := newMemStore()
					store.delay = delay
					ctx, cancel := context.WithTimeout(t.Context(), span)
					defer cancel()
					var calls record
					var wg sync.WaitGroup
					var all [4]*Shared
					for i := range all {
						s := NewShared(SharedConfig{Store: store, Rate: perSecond, Burst: burst})
						all[i] = s
						for range 8 {
							wg.Go(func() {
								for s.Wait(ctx, "tenant") == nil {
									calls.add()
								}
							})
						}
					}
					wg.Wait()
					for _, s := range all {
						if st := s.Stats(); st.StoreFailed > 0 {
							t.Errorf("the store is well, and counts as failed: %+v", st)
						}
					}
					n := len(calls.times)
					t.Logf("%d calls, %d questions, %d in the greatest lease, %.1f over", n, store.trips(), store.most, calls.over(perSecond, float64(burst)))
					if min := int(0.99 * perSecond * span.Seconds()); n < min {
						t.Errorf("%d calls, want at least %d", n, min)
					}
					if max := 20 * n / 1000; store.trips() > max {
						t.Errorf("%d questions, want at most %d", store.trips(), max)
					}
					// Who always has callers uses each token at its time.
					if over := calls.over(perSecond, float64(burst)+1); over > 0 {
						t.Errorf("exceeded by %v", over)
					}
				})
			})
		}
	}
}

// Processes that come and go, and use little or nothing of what they hold, exceed the
// limit by no more than the docs say.
func TestSharedBound(t *testing.T) {
	for seed := range uint64(20) {
		inBubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			store := newMemStore()
			store.delay = time.Duration(r.IntN(20)) * time.Millisecond
			perSecond, burst := rate.Limit(20+r.IntN(2000)), 1+r.IntN(50)
			lease := time.Duration(1+r.IntN(500)) * time.Millisecond
			if r.IntN(4) == 0 {
				lease = -1
			}
			var calls record
			var wg sync.WaitGroup
			for range 1 + r.IntN(6) {
				s := NewShared(SharedConfig{Store: store, Rate: perSecond, Burst: burst, Lease: lease})
				for range 3 {
					r := rand.New(rand.NewPCG(r.Uint64(), 1))
					wg.Go(func() {
						for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
							for range r.IntN(100) {
								n := 1 + r.IntN(min(burst, 3))
								if r.IntN(2) == 0 {
									ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(200))*time.Millisecond)
									if s.WaitN(ctx, "k", n) == nil {
										for range n {
											calls.add()
										}
									}
									cancel()
								} else if s.Take(t.Context(), "k", n).OK {
									for range n {
										calls.add()
									}
								}
							}
							time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
						}
					})
				}
			}
			wg.Wait()
			slack := 2*lease + 50*time.Millisecond
			if lease < 0 {
				slack = 100 * time.Millisecond
			}
			if over := calls.over(perSecond, float64(burst)+float64(perSecond)*slack.Seconds()); over > 0 {
				t.Errorf("seed %d: exceeded by %v: rate %v, burst %d, lease %v", seed, over, perSecond, burst, lease)
			}
		})
	}
}

// A process that uses nothing any more gives back what it holds, so that the next one
// does not wait for tokens that nobody will use.
func TestSharedGivesBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newMemStore()
		cfg := SharedConfig{Store: store, Rate: 100, Burst: 100}
		one, two := NewShared(cfg), NewShared(cfg)
		for range 40 { // it learns that it needs some
			one.Take(t.Context(), "k", 1)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second) // of which 40 flow in
		for n := range 100 {
			if !two.Take(t.Context(), "k", 1).OK {
				t.Fatalf("refused after %d calls, want 100", n)
			}
		}
	})
}

func TestSharedTake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := NewShared(SharedConfig{Name: "api", Store: newMemStore(), Rate: 10, Burst: 3})
		check := func(want Decision) {
			t.Helper()
			want.Name, want.Burst, want.Window = "api", 3, 300*time.Millisecond
			if diff := cmp.Diff(want, s.Take(t.Context(), "k", 1)); diff != "" {
				t.Error(diff)
			}
		}
		ms := time.Millisecond
		check(Decision{OK: true, Remaining: 2, ResetAfter: 100 * ms})
		check(Decision{OK: true, Remaining: 1, ResetAfter: 200 * ms})
		check(Decision{OK: true, Remaining: 0, ResetAfter: 300 * ms})
		check(Decision{RetryAfter: 100 * ms, ResetAfter: 300 * ms})
		time.Sleep(50 * ms)
		check(Decision{RetryAfter: 50 * ms, ResetAfter: 250 * ms})
		time.Sleep(50 * ms)
		check(Decision{OK: true, ResetAfter: 300 * ms})
		if d := s.Take(t.Context(), "k", 4); d.OK || d.RetryAfter != 0 {
			t.Errorf("more than the bucket holds: %+v", d)
		}
		if d := s.Take(t.Context(), "k", 0); !d.OK {
			t.Errorf("nothing: %+v", d)
		}
		if err := s.WaitN(t.Context(), "k", 4); !errors.Is(err, ErrTooLarge) {
			t.Errorf("more than the bucket holds: %v", err)
		}
	})
}

// Tokens of a denial are not asked for again before they come due.
func TestSharedRefusesWithoutAsking(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newMemStore()
		s := NewShared(SharedConfig{Store: store, Rate: 0.1, Burst: 1})
		if !s.Take(t.Context(), "k", 1).OK {
			t.Fatal("the first one is refused")
		}
		for range 1000 {
			d := s.Take(t.Context(), "k", 1)
			if d.OK || d.RetryAfter <= 0 || d.RetryAfter > 10*time.Second {
				t.Fatalf("%+v", d)
			}
		}
		if n := store.trips(); n > 2 {
			t.Errorf("%d questions, want 2", n)
		}
		since := time.Now()
		if err := s.Wait(t.Context(), "k"); err != nil || time.Since(since) != 10*time.Second {
			t.Errorf("%v after %v, want 10s", err, time.Since(since))
		}
	})
}

func TestSharedWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := NewShared(SharedConfig{Name: "api", Store: newMemStore(), Rate: 1, Burst: 2, Queue: 1})
		for range 2 {
			if err := s.Wait(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
		}
		s.Take(t.Context(), "k", 1) // it knows now when the next one comes
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := s.Wait(ctx, "k"); !errors.Is(err, ErrDeadline) || ctx.Err() != nil {
			t.Errorf("a deadline too soon: %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Wait(t.Context(), "k"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := s.Wait(t.Context(), "k"); !errors.Is(err, ErrFull) {
			t.Errorf("a full queue: %v", err)
		}
		if s.Take(t.Context(), "k", 1).OK {
			t.Error("Take has jumped the queue")
		}
		wg.Wait()
		gone, leave := context.WithCancelCause(t.Context())
		leave(errors.New("closed"))
		if err := s.Wait(gone, "k"); !errors.Is(err, ErrLimited) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("a context that has ended: %v", err)
		}
	})
}

// What each policy does while the store is down, and that a call waits for it once.
func TestSharedStoreDown(t *testing.T) {
	for _, policy := range []FailurePolicy{LastShare, FailOpen, FailClosed} {
		for _, how := range []string{"error", "slow", "hangs"} {
			t.Run(fmt.Sprintf("%v, %s", policy, how), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					store := newMemStore()
					var mu sync.Mutex
					var events []Event
					cfg := SharedConfig{Name: "api", Store: store, Rate: 100, Burst: 4, OnFailure: policy}
					other := NewShared(cfg)
					cfg.Observe = func(_ context.Context, e Event) {
						mu.Lock()
						defer mu.Unlock()
						if e.Kind > Refused {
							events = append(events, e)
						}
					}
					s := NewShared(cfg)
					other.Take(t.Context(), "k", 1)
					s.Take(t.Context(), "k", 1)
					store.set(func() {
						switch how {
						case "error":
							store.broken = errors.New("connection refused")
						case "slow":
							store.delay = time.Second
						case "hangs":
							store.hang = true
						}
					})
					time.Sleep(2 * time.Second) // what it holds becomes stale
					var calls int
					var slow time.Duration
					since := time.Now()
					for time.Since(since) < 10*time.Second {
						began := time.Now()
						err := s.Wait(t.Context(), "k")
						slow += max(0, time.Since(began)-20*time.Millisecond) // two in 40 ms are its share
						switch {
						case policy == FailClosed && (!errors.Is(err, ErrStore) || !errors.Is(err, ErrLimited)):
							t.Fatalf("%v, want ErrStore", err)
						case policy != FailClosed && err != nil:
							t.Fatal(err)
						case err == nil:
							calls++
						}
						if policy != LastShare {
							time.Sleep(time.Millisecond)
						}
					}
					if slow > 50*time.Millisecond {
						t.Errorf("calls waited for the store for %v, want at most 50ms once", slow)
					}
					switch policy {
					case LastShare: // one of two
						if calls < 480 || calls > 510 {
							t.Errorf("%d calls in 10s, want about 500", calls)
						}
					case FailOpen:
						if calls < 9000 {
							t.Errorf("%d calls, want all", calls)
						}
					}
					if st := s.Stats(); !errors.Is(st.Err, ErrStore) || st.StoreFailed == 0 {
						t.Errorf("%+v", st)
					}
					store.set(func() { store.broken, store.delay, store.hang = nil, 0, false })
					time.Sleep(31 * time.Second)
					s.Take(t.Context(), "k", 1) // finds out
					synctest.Wait()
					if st := s.Stats(); st.Err != nil {
						t.Errorf("after the end: %v", st.Err)
					}
					mu.Lock()
					defer mu.Unlock()
					var kinds []Kind
					for _, e := range events {
						kinds = append(kinds, e.Kind)
					}
					if diff := cmp.Diff([]Kind{StoreDown, StoreUp}, kinds); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

// While the store is down, a process goes on at the rate that it had, which becomes its
// equal share; all together stay within the limit.
func TestLastShare(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const perSecond = 400
		store := newMemStore()
		var calls [4]record
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range calls {
			s := NewShared(SharedConfig{Store: store, Rate: perSecond, Burst: 20})
			wg.Go(func() {
				for s.Wait(ctx, "k") == nil {
					calls[i].add()
					if i > 0 { // three use a tenth each
						time.Sleep(25 * time.Millisecond)
					}
				}
			})
		}
		time.Sleep(5 * time.Second)
		down := time.Now()
		store.set(func() { store.broken = errors.New("down") })
		time.Sleep(10 * time.Second)
		cancel()
		wg.Wait()
		in := func(r *record, from, to time.Duration) (n float64) {
			for _, at := range r.times {
				if d := at.Sub(down); d >= from && d < to {
					n++
				}
			}
			return n / (to - from).Seconds()
		}
		if got := in(&calls[0], 0, time.Second); got < 120 || got > perSecond {
			t.Errorf("at first %v/s, want less than before and more than its share", got)
		}
		if got := in(&calls[0], 5*time.Second, 10*time.Second); got < 97 || got > 101 {
			t.Errorf("later %v/s, want a quarter of %d", got, perSecond)
		}
		var all record
		for i := range calls {
			all.times = append(all.times, calls[i].times...)
		}
		if over := all.over(perSecond, 20+perSecond*0.55); over > 0 {
			t.Errorf("exceeded by %v", over)
		}
	})
}

// A store that has lost what it had given out, as after a failover, costs the leases
// that were out and one bucket.
func TestSharedStoreForgets(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const perSecond, burst = 1000, 50
		store := newMemStore()
		var calls record
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 4 {
			s := NewShared(SharedConfig{Store: store, Rate: perSecond, Burst: burst})
			for range 8 {
				wg.Go(func() {
					for s.Wait(ctx, "k") == nil {
						calls.add()
					}
				})
			}
		}
		time.Sleep(5 * time.Second)
		store.set(func() { clear(store.keys) })
		wg.Wait()
		leases := float64(4 * 2 * store.most)
		if over := calls.over(perSecond, burst+burst+leases); over > 0 {
			t.Errorf("exceeded by %v more than the leases that were out", over)
		}
	})
}

// A clock that steps back, or a rate that is raised, does not stop calls for longer than
// the bucket takes to fill.
func TestSharedClockSteps(t *testing.T) {
	for _, step := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		inBubble(t, func(t *testing.T) {
			store := newMemStore()
			store.skew = 48 * time.Hour
			var calls record
			s := NewShared(SharedConfig{Store: store, Rate: 100, Burst: 10})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			time.AfterFunc(5*time.Second, func() { store.set(func() { store.skew += step }) })
			for s.Wait(ctx, "k") == nil {
				calls.add()
			}
			if n := len(calls.times); n < 930 || n > 1070 {
				t.Errorf("step of %v: %d calls in 10s, want about 1000 and less than a lease and a bucket more", step, n)
			}
		})
	}
}

// For gives each key its own limit, and may change its mind.
func TestSharedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		limits := map[string]rate.Limit{"a": 10, "b": 0, "c": rate.Inf}
		s := NewShared(SharedConfig{Store: newMemStore(), For: func(key string) (rate.Limit, int) {
			mu.Lock()
			defer mu.Unlock()
			return limits[key], 1
		}})
		if s.Take(t.Context(), "b", 1).OK {
			t.Error("a rate of 0 lets through")
		}
		for range 100 {
			if !s.Take(t.Context(), "c", 1).OK {
				t.Fatal("no limit refuses")
			}
		}
		if err := s.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		limits["a"] = 0.01
		mu.Unlock()
		time.Sleep(time.Second)
		s.Take(t.Context(), "a", 1)
		done := make(chan error, 1)
		go func() { done <- s.Wait(t.Context(), "a") }()
		synctest.Wait()
		mu.Lock()
		limits["a"] = 10
		mu.Unlock()
		since := time.Now()
		if err := <-done; err != nil || time.Since(since) > 2*time.Second {
			t.Errorf("%v after %v, want within 2s of the change", err, time.Since(since))
		}
	})
}

// A table that is full forgets the key that was not used for longest.
func TestSharedMaxKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := NewShared(SharedConfig{Store: newMemStore(), Rate: 1, Burst: 2, MaxKeys: 32})
		for i := range 1000 {
			s.Take(t.Context(), fmt.Sprint(i), 1)
		}
		if st := s.Stats(); st.Keys != 32 || st.Evicted != 968 {
			t.Errorf("%+v", st)
		}
	})
}

// Sums of what was let through and refused are those that the callers saw.
func TestSharedStats(t *testing.T) {
	store := newMemStore()
	s := NewShared(SharedConfig{Name: "api", Store: store, Rate: 1e6, Burst: 100})
	var ok, refused [8]uint64
	var wg sync.WaitGroup
	for i := range ok {
		wg.Go(func() {
			for n := range 2000 {
				key := fmt.Sprint(n % 3)
				passed := n%2 == 0 && s.Wait(t.Context(), key) == nil || n%2 == 1 && s.Take(t.Context(), key, 1).OK
				if passed {
					ok[i]++
				} else {
					refused[i]++
				}
			}
		})
	}
	wg.Wait()
	var want SharedStats
	for i := range ok {
		want.Calls += ok[i]
		want.Refused += refused[i]
	}
	got := s.Stats()
	if got.Calls != want.Calls || got.Refused != want.Refused || got.Waited > got.Calls || got.Keys != 3 || got.Owners != 1 || got.Waiting != 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A call that needs no question takes nothing from the heap.
func TestSharedAllocations(t *testing.T) {
	s := NewShared(SharedConfig{Store: newMemStore(), Rate: 1e6, Burst: 1e6, Lease: 10 * time.Second})
	k := s.get("k", s.terms)
	k.line.mu.Lock()
	k.leases, k.left = []lease{{interval: 1, n: 1e6, stale: time.Hour}}, 1e6
	k.line.mu.Unlock()
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { s.Take(ctx, "k", 1) }); n > 0 {
		t.Errorf("Take: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Wait(ctx, "k") }); n > 0 {
		t.Errorf("Wait: %v allocations", n)
	}
}

// A Store that panics is told to Observe, and is one that does not answer.
func TestSharedStorePanics(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var cause error
		s := NewShared(SharedConfig{Store: panicStore{}, Rate: 1, OnFailure: FailClosed, Observe: func(_ context.Context, e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == StoreDown {
				cause = e.Cause
			}
		}})
		if err := s.Wait(t.Context(), "k"); !errors.Is(err, ErrStore) {
			t.Errorf("%v, want ErrStore", err)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if cause == nil || !strings.Contains(cause.Error(), "no such shard") {
			t.Errorf("cause %v", cause)
		}
	})
}

type panicStore struct{}

func (panicStore) Lease(context.Context, string, LeaseRequest) (Lease, error) {
	panic("no such shard")
}

func TestSharedConfigIsChecked(t *testing.T) {
	for _, tt := range []struct {
		cfg  SharedConfig
		want string
	}{
		{SharedConfig{Rate: 1}, "SharedConfig.Store is nil"},
		{SharedConfig{Store: newMemStore()}, "SharedConfig.Rate is 0"},
		{SharedConfig{Store: newMemStore(), Rate: 1e-7, Burst: 10}, "100 days"},
		{SharedConfig{Store: newMemStore(), Rate: 1, Lease: time.Hour}, "SharedConfig.Lease"},
		{SharedConfig{Store: newMemStore(), Rate: 1, StoreTimeout: -1}, "SharedConfig.StoreTimeout"},
		{SharedConfig{Store: newMemStore(), Rate: 1, OnFailure: 9}, "SharedConfig.OnFailure"},
		{SharedConfig{Store: newMemStore(), Rate: 1, MaxKeys: -1}, "SharedConfig.MaxKeys"},
		{SharedConfig{Store: newMemStore(), Rate: 1, Queue: 1 << 30}, "SharedConfig.Queue"},
	} {
		if err := tt.cfg.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	var none *Shared
	if err := none.Wait(t.Context(), "k"); err != nil || !none.Take(t.Context(), "k", 1).OK {
		t.Error("a nil Shared has a limit")
	}
}

// Processes together let through what one limiter would, whether each uses less than one
// token in the time of a lease or many, and the store never counts as failed.
func TestSharedIsUsedUp(t *testing.T) {
	for _, tt := range []struct {
		processes, burst int
		perSecond        rate.Limit
		demand           float64 // of perSecond
	}{
		{2, 20, 5, 1.5}, {6, 20, 5, 3}, {20, 20, 20, 1.5}, {20, 1, 50, 3}, {3, 5, 1000, 2}, {6, 20, 20, 0.9}, {6, 20, 100, 0.9}, {6, 100, 1000, 0.9}, {20, 5, 200, 2},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := newMemStore()
				store.delay = 2 * time.Millisecond
				r := rand.New(rand.NewPCG(7, 7))
				all := make([]*Shared, tt.processes)
				for i := range all {
					all[i] = NewShared(SharedConfig{Store: store, Rate: tt.perSecond, Burst: tt.burst})
				}
				one := New(Config{Rate: tt.perSecond, Burst: tt.burst}) // what one process would let through
				calls, ok, best := 0, 0, 0
				for since := time.Now(); time.Since(since) < time.Minute; calls++ {
					if all[r.IntN(len(all))].Take(t.Context(), "k", 1).OK {
						ok++
					}
					if one.Allow() {
						best++
					}
					time.Sleep(time.Duration(r.ExpFloat64() / tt.demand / float64(tt.perSecond) * float64(time.Second)))
				}
				for _, s := range all {
					if st := s.Stats(); st.StoreFailed > 0 {
						t.Errorf("the store is well, and counts as failed: %+v", st)
					}
				}
				t.Logf("%d of %d calls let through, by one limiter %d", ok, calls, best)
				if float64(ok) < 0.9*float64(best) {
					t.Errorf("%d of %d calls let through, want 9 of 10 of the %d of one limiter", ok, calls, best)
				}
			})
		})
	}
}

// Processes whose callers wait get about equal parts.
func TestSharedIsFair(t *testing.T) {
	for _, lease := range []time.Duration{0, 5 * time.Second} {
		inBubble(t, func(t *testing.T) {
			store := newMemStore()
			store.delay = time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var calls [2]record
			var wg sync.WaitGroup
			for i := range calls {
				s := NewShared(SharedConfig{Store: store, Rate: 100, Burst: 10, Lease: lease})
				for range []int{32, 4}[i] {
					wg.Go(func() {
						for s.Wait(ctx, "k") == nil {
							calls[i].add()
						}
					})
				}
			}
			wg.Wait()
			if a, b := len(calls[0].times), len(calls[1].times); b < a/3 || a < b/3 {
				t.Errorf("lease %v: %d and %d calls", lease, a, b)
			}
		})
	}
}

// An answer that cannot be one is a store that does not answer.
func TestSharedStoreTalksNonsense(t *testing.T) {
	for _, lease := range []Lease{{}, {N: -1}, {N: 1 << 30}, {N: 1, Begin: -time.Hour}, {N: 1, Begin: math.MaxInt64}, {RetryAfter: math.MaxInt64}, {RetryAfter: -1}, {N: 1, Owners: math.MaxInt}} {
		inBubble(t, func(t *testing.T) {
			s := NewShared(SharedConfig{Store: answer(lease), Rate: 10, Burst: 2, OnFailure: FailClosed})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := s.Wait(ctx, "k"); !errors.Is(err, ErrStore) {
				t.Errorf("%+v: %v, want ErrStore", lease, err)
			}
			if d := s.Take(ctx, "k", 1); d.OK || d.RetryAfter <= 0 || d.RetryAfter > time.Second || d.Remaining != 0 {
				t.Errorf("%+v: %+v", lease, d)
			}
		})
	}
}

type answer Lease

func (a answer) Lease(context.Context, string, LeaseRequest) (Lease, error) { return Lease(a), nil }
