package breaker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/internal/sim"
)

// A guard decides about a call, and is told how it ended.
type guard func(s *sim.Sim) (done func(ok bool), admitted bool)

func unguarded(*sim.Sim) guard {
	return func(*sim.Sim) (func(bool), bool) { return func(bool) {}, true }
}

func belay(s *sim.Sim) guard {
	b := breaker.Seeded(breaker.Config{}, s.Rand.Float64)
	return func(*sim.Sim) (func(bool), bool) {
		p, err := b.Allow()
		return func(ok bool) {
			if ok {
				p.Done(breaker.Success)
			} else {
				p.Done(breaker.Failure)
			}
		}, err == nil
	}
}

// classic is the breaker of the textbook: half of at least 20 calls in 10 seconds
// open it, and after 5 seconds one call closes it or opens it again.
func classic(*sim.Sim) guard {
	type second struct{ calls, failed int }
	var window [10]second
	var newest, opened time.Duration
	state := breaker.Closed
	return func(s *sim.Sim) (func(bool), bool) {
		if state == breaker.Open && s.Now() >= opened+5*time.Second {
			state = breaker.HalfOpen
		} else if state != breaker.Closed {
			return nil, false
		}
		was := state
		return func(ok bool) {
			if was != state {
				return
			}
			if state == breaker.HalfOpen {
				state, opened, window = breaker.Closed, s.Now(), [10]second{}
				if !ok {
					state = breaker.Open
				}
				return
			}
			now := s.Now() / time.Second
			for ; newest < now; newest++ {
				window[(newest+1)%10] = second{}
			}
			w := &window[now%10]
			w.calls++
			if !ok {
				w.failed++
			}
			var sum second
			for _, w := range window {
				sum.calls += w.calls
				sum.failed += w.failed
			}
			if !ok && sum.calls >= 20 && 2*sum.failed >= sum.calls {
				state, opened = breaker.Open, s.Now()
			}
		}, true
	}
}

// recovery is what a guard made of an outage.
type recovery struct {
	outage, first int           // calls sent while all failed, and in the 2 seconds after
	failed        int           // calls that were sent and failed after the outage
	back          time.Duration // after the outage, until 95 % of the calls succeed
}

// outage plays 1,000 callers with a call a second each. From 20 s to 60 s the
// backend fails every call; then it can do a fifth of them, and after 20 s all,
// and fails those that are too many.
func outage(t *testing.T, seed uint64, make func(*sim.Sim) guard) (r recovery) {
	const down, up, whole, end = 20 * time.Second, 60 * time.Second, 80 * time.Second, 100 * time.Second
	var arrivals, successes sim.Bins
	sim.Run(t, seed, func(s *sim.Sim) {
		ask := make(s)
		var slice time.Duration // a tenth of a second, and the calls that the backend took in it
		taken := 0
		s.Poisson(0, end, 1000, func() {
			now := s.Now()
			arrivals.Add(now)
			done, ok := ask(s)
			if !ok {
				return
			}
			if now >= down && now < up {
				r.outage++
			}
			if now >= up && now < up+2*time.Second {
				r.first++
			}
			if n := now / (100 * time.Millisecond); n != slice {
				slice, taken = n, 0
			}
			taken++
			share := 1.5 // of the load: some room for what Poisson brings
			switch {
			case now >= down && now < up:
				share = 0
			case now >= up && now < whole:
				share *= 0.2 + 0.8*float64(now-up)/float64(whole-up)
			}
			answered := float64(taken) <= share*100
			if now >= up && !answered {
				r.failed++
			}
			s.After(50*time.Millisecond, func() {
				if answered {
					successes.Add(now)
				}
				done(answered)
			})
		})
	})
	var ok bool
	if r.back, ok = sim.Recovery(arrivals, successes, up, 3, 0.95); !ok {
		r.back = end - up
	}
	return r
}

// TestSimRecovery compares what three clients do to a backend that goes down and
// comes back weak.
func TestSimRecovery(t *testing.T) {
	seeds := uint64(2)
	if sim.Full() {
		seeds = 10
	}
	var table sim.Table
	table.Row("client", "seed", "sent in the outage", "sent in the 2 s after", "failed after", "back after")
	for seed := range seeds {
		var all [3]recovery
		for i, c := range []struct {
			name string
			make func(*sim.Sim) guard
		}{{"no breaker", unguarded}, {"classic", classic}, {"belay", belay}} {
			all[i] = outage(t, seed, c.make)
			table.Row(c.name, seed, all[i].outage, all[i].first, all[i].failed, all[i].back)
		}
		none, textbook, ours := all[0], all[1], all[2]
		if ours.outage > none.outage/100 || ours.outage > textbook.outage {
			t.Errorf("seed %d: %d calls sent in the outage; %d without a breaker, %d with a classic one", seed, ours.outage, none.outage, textbook.outage)
		}
		if ours.first > none.first/4 {
			t.Errorf("seed %d: %d calls in the first 2 s, %d without a breaker", seed, ours.first, none.first)
		}
		// At worst, the breaker had just opened for its longest when the outage ended.
		if limit := 20*time.Second + 5*time.Second + none.back; ours.back > limit {
			t.Errorf("seed %d: back after %v, want at most %v", seed, ours.back, limit)
		}
		if ours.failed > textbook.failed {
			t.Errorf("seed %d: %d calls failed after the outage, %d with a classic breaker", seed, ours.failed, textbook.failed)
		}
	}
	if sim.Full() {
		fmt.Print(table.Markdown())
	} else {
		t.Log("\n" + table.String())
	}
}
