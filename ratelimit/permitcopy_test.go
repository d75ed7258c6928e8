package ratelimit

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// twice gives p back, and then a copy of it, as go vet would report.
func twice(p *Permit) (panicked any) {
	again := NewPermit(p.owner, p.lease)
	p.Done()
	defer func() { panicked = recover() }()
	again.Done()
	return nil
}

// A Permit that is given back twice, by way of a copy, is a mistake that shows; and the
// limit holds afterwards.
func TestPermitGivenBackTwicePanics(t *testing.T) {
	for _, n := range []int{1, 2} {
		b := NewBulkhead(BulkheadConfig{Limit: 2})
		p, err := b.AllowN(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := twice(&p); got != "ratelimit: a Permit was given back twice, by way of a copy" {
			t.Errorf("panic %v", got)
		}
		if s := b.Stats(); s.InUse != 0 {
			t.Errorf("%d in use", s.InUse)
		}
		for i := range 3 {
			if _, err := b.Allow(); (err == nil) != (i < 2) {
				t.Errorf("call %d of 2: %v", i+1, err)
			}
		}
	}
}

// Changes of the limit never make a Permit look as if it were given back twice.
func TestSetLimitDoesNotAccuse(t *testing.T) {
	b := NewBulkhead(BulkheadConfig{Limit: 8, Queue: 100})
	var stop atomic.Bool
	var changes, wg sync.WaitGroup
	changes.Go(func() {
		for i := 0; !stop.Load(); i++ {
			b.SetLimit(1 + i%8)
		}
	})
	for w := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range 20_000 {
				var p Permit
				var err error
				if r.IntN(8) == 0 {
					p, err = b.Acquire(t.Context())
				} else {
					p, err = b.Allow()
				}
				if err == nil {
					p.Done()
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	changes.Wait()
	if s := b.Stats(); s.InUse != 0 || freeIn(b.word.Load()) != int64(s.Limit) {
		t.Errorf("%+v, %d free", s, freeIn(b.word.Load()))
	}
}

// An Observe that panics reaches the caller, after the place was given back.
func TestObservePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Limit: 1, Observe: func(context.Context, Event) { panic("observe") }})
		l := New(Config{Rate: 1, Observe: func(context.Context, Event) { panic("observe") }})
		k := NewKeyed(KeyedConfig[int]{Rate: 1, Observe: func(context.Context, Event) { panic("observe") }})
		for name, f := range map[string]func(){
			"Acquire":      func() { b.Acquire(t.Context()) },
			"AllowN":       func() { b.AllowN(1) },
			"Allow":        func() { b.Allow() },
			"refused":      func() { b.AllowN(2) },
			"Limiter":      func() { l.Wait(t.Context()) },
			"All":          func() { All(l).Wait(t.Context()) },
			"Keyed":        func() { k.Wait(t.Context(), 1) },
			"Keyed.Allow":  func() { k.Allow(1) },
			"Limiter.Take": func() { l.Take(1) },
		} {
			func() {
				defer func() {
					if recover() != "observe" {
						t.Errorf("%s: the panic did not pass", name)
					}
				}()
				f()
			}()
			if s := b.Stats(); s.InUse != 0 || s.Waiting != 0 {
				t.Errorf("%s: %+v", name, s)
			}
			if l.line.waiting.Load() != 0 || len(k.shards[0].queues) != 0 {
				t.Errorf("%s: calls wait", name)
			}
		}
	})
}
