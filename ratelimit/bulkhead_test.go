package ratelimit

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whatever is done, no more places are taken than there are, none is lost, and the
// fast path never passes those that wait.
func TestBulkheadInvariants(t *testing.T) {
	b := NewBulkhead(BulkheadConfig{Limit: 10, Queue: 50})
	var inUse, refused atomic.Int64
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 5))
			for range 2000 {
				n := 1 + r.IntN(4)
				ctx, cancel := context.WithCancel(t.Context())
				var p Permit
				var err error
				switch r.IntN(4) {
				case 0:
					p, err = b.AllowN(n)
				case 1:
					go cancel()
					fallthrough
				case 2:
					p, err = b.AcquireN(LowPriority(ctx), n)
				default:
					p, err = b.AcquireN(ctx, n)
				}
				if err == nil {
					if now := inUse.Add(int64(n)); now > 10 {
						t.Errorf("%d places in use", now)
					}
					if r.IntN(3) == 0 {
						runtime.Gosched()
					}
					inUse.Add(-int64(n))
					p.Done()
					p.Done()
				} else {
					refused.Add(1)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	s := b.Stats()
	if n := refused.Load(); n == 0 || n == 12*2000 || s.Waited == 0 {
		t.Errorf("%d refused, %d have waited", n, s.Waited)
	}
	want := BulkheadStats{Limit: 10, Calls: uint64(12*2000 - refused.Load()), Waited: s.Waited, Refused: uint64(refused.Load())}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("at the end: %s", diff)
	}
}

// The queue against a plain model of it: two slices.
func FuzzBulkhead(f *testing.F) {
	f.Add([]byte{0, 0, 0, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte("acquire and give back, in some order"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		synctest.Test(t, func(t *testing.T) {
			type call struct {
				n      int
				cancel context.CancelFunc
				permit *Permit
			}
			b := NewBulkhead(BulkheadConfig{Limit: 4, Queue: 6})
			limit, free, passed := 4, 4, 0
			came := uint64(0)
			var waits [2][]*call // high, low
			var holds []*call
			var wg sync.WaitGroup
			got := map[*call]error{}
			var mu sync.Mutex
			serve := func() { // what must happen now
				for {
					class := 0
					if len(waits[1]) > 0 && (len(waits[0]) == 0 || passed >= maxPassed) {
						class = 1
					}
					if len(waits[class]) == 0 {
						return
					}
					c := waits[class][0]
					if c.n <= limit {
						if c.n > free {
							return
						}
						free -= c.n
						holds = append(holds, c)
					}
					if waits[class] = waits[class][1:]; class == 1 || len(waits[1]) == 0 {
						passed = 0
					} else {
						passed++
					}
				}
			}
			for _, op := range ops[:min(len(ops), 200)] {
				arg := int(op >> 3)
				switch op & 7 {
				case 0, 1, 2, 3: // one comes
					c := &call{n: 1 + arg%5, permit: new(Permit)}
					ctx, cancel := context.WithCancel(t.Context())
					c.cancel = cancel
					class := int(op & 1)
					if class == 1 {
						ctx = LowPriority(ctx)
					}
					waiting := len(waits[0]) + len(waits[1])
					if c.n <= free && waiting == 0 {
						free -= c.n
						holds = append(holds, c)
					} else if c.n <= limit && waiting < 6 {
						waits[class] = append(waits[class], c)
						serve()
					}
					came++
					wg.Go(func() {
						var err error
						*c.permit, err = b.AcquireN(ctx, c.n)
						mu.Lock()
						defer mu.Unlock()
						got[c] = err
					})
				case 4, 5: // one ends
					if len(holds) > 0 {
						i := arg % len(holds)
						c := holds[i]
						holds = slices.Delete(holds, i, i+1)
						free += c.n
						serve()
						c.permit.Done()
					}
				case 6: // one leaves
					if class := arg & 1; len(waits[class]) > 0 {
						i := (arg >> 1) % len(waits[class])
						c := waits[class][i]
						waits[class] = slices.Delete(waits[class], i, i+1)
						c.cancel()
						synctest.Wait()
						serve()
					}
				case 7:
					free += 1 + arg%6 - limit
					limit = 1 + arg%6
					b.SetLimit(limit)
					serve()
				}
				synctest.Wait()
				want := BulkheadStats{Limit: limit, InUse: limit - free, Waiting: len(waits[0]) + len(waits[1])}
				s := b.Stats()
				if s.Calls+s.Refused+uint64(s.Waiting) != came {
					t.Fatalf("%d calls have come: %+v", came, s)
				}
				s.Calls, s.Waited, s.Refused = 0, 0, 0
				if diff := cmp.Diff(want, s); diff != "" {
					t.Fatal(diff)
				}
				mu.Lock()
				for _, c := range holds {
					if err, ok := got[c]; !ok || err != nil {
						t.Fatalf("a call for %d that holds: %v, %v", c.n, ok, err)
					}
				}
				for _, c := range slices.Concat(waits[0], waits[1]) {
					if err, ok := got[c]; ok {
						t.Fatalf("a call for %d that waits has got %v", c.n, err)
					}
				}
				mu.Unlock()
			}
			for _, c := range slices.Concat(waits[0], waits[1]) {
				c.cancel()
			}
			wg.Wait()
		})
	})
}

func TestBulkheadRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Limit: 2, Queue: 1})
		p, err := b.AcquireN(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.AcquireN(t.Context(), 3); !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrLimited) {
			t.Errorf("%v for more than there are", err)
		}
		if _, err := b.AllowN(3); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v for more than there are", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			_, err := b.Acquire(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second || !err.(*Error).Timeout() {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		if _, err := b.Acquire(t.Context()); !errors.Is(err, ErrFull) || !err.(*Error).Rejected() {
			t.Errorf("%v with a full queue", err)
		}
		wg.Wait()
		p.Done()
		gone, leave := context.WithCancelCause(t.Context())
		leave(errLeft)
		if _, err := b.Acquire(gone); !errors.Is(err, errLeft) {
			t.Errorf("%v for a context that has ended", err)
		}
		off := NewBulkhead(BulkheadConfig{Limit: 1, Queue: -1})
		if p, err := off.Acquire(t.Context()); err != nil {
			t.Error(err)
		} else if _, err := off.Acquire(t.Context()); !errors.Is(err, ErrFull) {
			t.Errorf("%v without a queue", err)
		} else {
			p.Done()
		}
	})
}

// A call at the head that leaves lets those behind it through at once, if they need less.
func TestHeavyHeadLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Limit: 4})
		held, _ := b.AllowN(2)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { b.AcquireN(ctx, 4) })
		synctest.Wait()
		served := false
		wg.Go(func() {
			if _, err := b.AcquireN(t.Context(), 2); err != nil {
				t.Error(err)
			}
			served = true
		})
		synctest.Wait()
		if served {
			t.Error("the heavy call was passed")
		}
		cancel()
		synctest.Wait()
		if !served {
			t.Error("the call behind it waits on")
		}
		held.Done()
		wg.Wait()
	})
}

func TestPermitsAreGivenBack(t *testing.T) {
	b := NewBulkhead(BulkheadConfig{Limit: 1})
	errOp := errors.New("op")
	if err := Run(t.Context(), b, func(context.Context) error { return errOp }); err != errOp {
		t.Errorf("error %v", err)
	}
	func() {
		defer func() {
			if recover() != "op" {
				t.Error("the panic did not pass")
			}
		}()
		Do(t.Context(), b, func(context.Context) (int, error) { panic("op") })
	}()
	var wg sync.WaitGroup
	wg.Go(func() { Run(t.Context(), b, func(context.Context) error { runtime.Goexit(); return nil }) })
	wg.Wait()
	if s := b.Stats(); s.InUse != 0 {
		t.Errorf("%+v", s)
	}
	p, _ := b.Allow()
	called := false
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, b, func(context.Context) error { called = true; return nil }); err == nil || called {
		t.Errorf("error %v, called %v", err, called)
	}
	if _, err := Wrap(b, func(context.Context, int) (int, error) { called = true; return 0, nil })(ctx, 1); err == nil || called {
		t.Errorf("error %v, called %v", err, called)
	}
	p.Done()
}

func TestNoBulkhead(t *testing.T) {
	var b *Bulkhead
	for range 10 {
		p, err := b.Acquire(t.Context())
		q, err2 := b.AllowN(100)
		if err != nil || err2 != nil {
			t.Error(err, err2)
		}
		p.Done()
		q.Done()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := (BulkheadConfig{Queue: 1 << 30}).Validate(); err == nil || strings.Count(err.Error(), "ratelimit: BulkheadConfig.") != 2 {
		t.Errorf("Validate: %v", err)
	}
}

func TestBulkheadDoesNotAllocate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b, full := NewBulkhead(BulkheadConfig{Limit: 10}), NewBulkhead(BulkheadConfig{Limit: 1})
	full.Allow()
	op := func(context.Context) error { return nil }
	for name, f := range map[string]func(){
		"acquire": func() { p, _ := b.Acquire(ctx); p.Done() },
		"weight":  func() { p, _ := b.AcquireN(ctx, 3); p.Done() },
		"run":     func() { Run(ctx, b, op) },
		"allow":   func() { p, _ := b.Allow(); p.Done() },
		"full":    func() { full.Allow() },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestNegativePanics(t *testing.T) {
	b, l := NewBulkhead(BulkheadConfig{Limit: 1}), New(Config{Rate: 1})
	k := NewKeyed(KeyedConfig[int]{Rate: 1})
	for name, f := range map[string]func(){
		"AllowN": func() { l.AllowN(time.Now(), -1) }, "WaitN": func() { l.WaitN(t.Context(), -1) },
		"Take": func() { l.Take(-1) }, "Charge": func() { l.Charge(t.Context(), -1) },
		"Settle": func() { new(Charge).Settle(-1) }, "AcquireN": func() { b.AcquireN(t.Context(), -1) },
		"Bulkhead.AllowN": func() { b.AllowN(-1) }, "Keyed.Take": func() { k.Take(1, -1) },
		"Keyed.WaitN": func() { k.WaitN(t.Context(), 1, -1) },
	} {
		func() {
			defer func() {
				if v, _ := recover().(string); v != "ratelimit: asked for -1, want 0 or more" {
					t.Errorf("%s panicked with %q", name, v)
				}
			}()
			f()
		}()
	}
}

// A call that needs few places does not pass one that waits for many.
func TestBulkheadDoesNotJumpTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Limit: 3})
		held, _ := b.Allow()
		var wg sync.WaitGroup
		wg.Go(func() {
			p, err := b.AcquireN(t.Context(), 3)
			if err != nil {
				t.Error(err)
			}
			p.Done()
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for name, call := range map[string]func() (Permit, error){
			"Allow":    b.Allow,
			"AllowN":   func() (Permit, error) { return b.AllowN(1) },
			"Acquire":  func() (Permit, error) { return b.Acquire(ctx) },
			"AcquireN": func() (Permit, error) { return b.AcquireN(ctx, 1) },
		} {
			if _, err := call(); err == nil {
				t.Errorf("%s has passed a call that waits", name)
			}
		}
		held.Done()
		wg.Wait()
		if p, err := b.Allow(); err != nil {
			t.Error(err)
		} else {
			p.Done()
		}
	})
}
