package breaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A tally is what the callers of a breaker have seen.
type tally struct{ calls, failed, slow, ignored, refused uint64 }

func (t *tally) add(u tally) {
	t.calls += u.calls
	t.failed += u.failed
	t.slow += u.slow
	t.ignored += u.ignored
	t.refused += u.refused
}

// call makes a random call, and returns what it came to.
func call(b *Breaker, r *rand.Rand) (t tally) {
	pause := time.Duration(r.IntN(3)) * time.Millisecond
	if r.IntN(10) == 0 {
		pause, t.slow = 2*time.Second, 1
	}
	t.calls = 1
	if r.IntN(2) == 0 {
		return twoStep(b, r, pause, t)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	how := r.IntN(4)
	defer func() {
		if how == 3 {
			recover()
		}
	}()
	err := Run(ctx, b, func(ctx context.Context) error {
		time.Sleep(pause)
		switch how {
		case 1:
			t.failed = 1
			return errDown
		case 2:
			cancel()
			t.ignored, t.slow = 1, 0
			return ctx.Err()
		case 3:
			t.failed = 1
			panic("no return")
		}
		return nil
	})
	if errors.Is(err, ErrOpen) {
		return tally{refused: 1}
	}
	return t
}

func twoStep(b *Breaker, r *rand.Rand, pause time.Duration, t tally) tally {
	p, err := b.Allow()
	if err != nil {
		return tally{refused: 1}
	}
	answered := r.IntN(2) == 0
	if answered { // the time ends here
		p.Answered(Success)
		t.slow = 0
	}
	time.Sleep(pause)
	o := []Outcome{Default, Success, Failure, Ignored}[r.IntN(4)]
	p.Done(o)
	p.Done(Failure) // changes nothing
	switch {
	case o == Failure:
		t.failed = 1
	case o != Success && !answered:
		t.ignored, t.slow = 1, 0
	}
	return t
}

// Whatever the states and modes are in the meantime, and also if the Set has dropped
// the breaker, each call is counted once, as what its caller saw.
func TestCountersAddUp(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) { addUp(t, seed) })
	}
}

func addUp(t *testing.T, seed uint64) {
	var overruled, opened atomic.Uint64
	observe := func(_ context.Context, e Event) {
		switch {
		case e.Kind == Overruled:
			overruled.Add(1)
		case e.Kind == Changed && e.Transition.To == Open && e.Transition.From != Open:
			opened.Add(1)
		}
	}
	const keys = 8
	cfg := SetConfig[int]{MaxKeys: keys - 2, Config: func(k int) Config {
		cfg := modelConfigs[(k+int(seed))%len(modelConfigs)]
		cfg.Window, cfg.OpenFor, cfg.MaxOpenFor, cfg.Slow = 20*time.Millisecond, 5*time.Millisecond, 10*time.Millisecond, time.Second
		if k == 0 {
			cfg.FailureRate, cfg.AllFailed = -1, -1 // no window
		}
		if seed%2 == 0 {
			cfg.Observe = observe
		}
		return cfg
	}}
	if seed%4 < 2 {
		cfg.MaxOpenFraction = 0.2
	}
	set := NewSet(cfg)

	var mu sync.Mutex
	seen := map[*Breaker]*tally{}
	done := make(chan struct{})
	var calls, rest sync.WaitGroup
	for g := range uint64(8) {
		calls.Go(func() {
			r := rand.New(rand.NewPCG(seed, g))
			for range 600 {
				b := set.Get(r.IntN(keys))
				n := call(b, r)
				mu.Lock()
				if seen[b] == nil {
					seen[b] = new(tally)
				}
				seen[b].add(n)
				mu.Unlock()
			}
		})
	}
	rest.Go(func() { // an operator
		for r := rand.New(rand.NewPCG(seed, 99)); ; {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(r.IntN(10)) * time.Millisecond):
			}
			switch b := set.Get(r.IntN(keys)); r.IntN(4) {
			case 0:
				b.Trip(time.Duration(r.IntN(5))*time.Millisecond, nil)
			case 1:
				b.Force(Mode(r.IntN(4)))
			default:
				b.Force(Auto)
			}
		}
	})
	calls.Wait()
	close(done)
	rest.Wait()

	var inAll, openings uint64
	for b, want := range seen {
		s := b.Stats()
		if got := (tally{s.Calls, s.Failed, s.Slow, s.Ignored, s.Refused}); got != *want {
			t.Errorf("seed %d, breaker %s: counted %+v, its callers %+v", seed, s.Name, got, *want)
		}
		if s.Trials > s.Calls {
			t.Errorf("%d trials, %d calls", s.Trials, s.Calls)
		}
		inAll += s.Overruled
		openings += s.Opened
	}
	s := set.Stats()
	if s.Overruled != inAll || s.Keys != keys-2 || s.Evicted == 0 || (cfg.MaxOpenFraction > 0) != (inAll > 0) {
		t.Errorf("%+v, and %d overruled", s, inAll)
	}
	if seed%2 == 0 && (overruled.Load() != inAll || opened.Load() < openings || openings == 0) {
		t.Errorf("%d overruled, %d openings; told %d, %d", inAll, openings, overruled.Load(), opened.Load())
	}
}

// Who reads while calls end never sees a counter fall, nor more calls than there were.
func TestCountersNeverFall(t *testing.T) {
	b := New(Config{Window: 100 * time.Microsecond}) // a cell is taken each 10 us
	b.Force(ForcedClosed)
	var begun atomic.Uint64
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 3))
			for range 200_000 {
				begun.Add(1)
				p, err := b.Allow()
				if err != nil {
					continue
				}
				p.Answered(Success)
				o := Success
				if r.IntN(10) == 0 {
					o = Failure
				}
				p.Done(o)
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	var last Stats
	for running := true; running; {
		select {
		case <-ended:
			running = false
		default:
		}
		s := b.Stats()
		before, after := countersOf(last), countersOf(s)
		for i := range after {
			if after[i] < before[i] {
				t.Fatalf("%v, and before %v", after, before)
			}
		}
		if n := begun.Load(); s.Calls+s.Refused > n || s.Failed > s.Calls {
			t.Fatalf("%v after %d calls", after, n)
		}
		last = s
	}
	if n := begun.Load(); last.Calls+last.Refused != n {
		t.Errorf("%d calls and %d refused, want %d in all", last.Calls, last.Refused, n)
	}
}
