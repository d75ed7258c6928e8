package retry_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The counters are what callers and operations have seen: each retry, each hedge, and
// how each call ended. Nobody who reads them meanwhile sees one fall.
func TestCountersAddUp(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			budget := retry.NewBudget(retry.BudgetConfig{Credit: 40})
			p := retry.New(retry.Config{Schedule: retry.Constant(10 * time.Millisecond), Budget: budget})
			h := retry.NewHedger(retry.HedgeConfig{Delay: 5 * time.Millisecond, Max: 3, Budget: budget, Inline: seed%2 == 0})

			var mu sync.Mutex
			var want retry.Stats
			var begun, calls, wins atomic.Uint64
			var workers sync.WaitGroup
			for g := range uint64(8) {
				workers.Go(func() {
					r := rand.New(rand.NewPCG(seed, g))
					for range 200 {
						if r.IntN(2) == 0 {
							calls.Add(1)
							if hedgedCall(t, h, r.Uint64(), &begun) {
								wins.Add(1)
							}
							continue
						}
						attempts, err := retriedCall(t, p, r)
						mu.Lock()
						book(&want, attempts, err)
						mu.Unlock()
					}
				})
			}
			done := make(chan struct{})
			go func() { workers.Wait(); close(done) }()
			neverFall(t, done, p, h, budget)
			time.Sleep(time.Second) // until the losers of hedges have ended
			synctest.Wait()

			if diff := cmp.Diff(want, p.Stats()); diff != "" {
				t.Errorf("seed %d (-want +got):\n%s", seed, diff)
			}
			hedges := begun.Load() - calls.Load()
			s := h.Stats()
			if diff := cmp.Diff(retry.HedgeStats{Hedges: hedges, Wins: wins.Load(), Delay: 5 * time.Millisecond},
				s, cmpopts.IgnoreFields(s, "Refused")); diff != "" {
				t.Errorf("seed %d (-want +got):\n%s", seed, diff)
			}
			if b := p.Budget().Stats(); b.Granted != want.Retries+hedges || b.Refused != want.Refused+s.Refused {
				t.Errorf("seed %d: %+v, want %d retries and %d hedges", seed, b, want.Retries, hedges)
			}
			if want.Refused*want.Recovered*want.Expired*s.Refused*s.Wins == 0 {
				t.Errorf("seed %d: not all was tried: %+v, %+v", seed, want, s)
			}
		})
	}
}

// retriedCall makes a random call, and returns how many attempts were made and its error.
func retriedCall(t *testing.T, p *retry.Policy, r *rand.Rand) (attempts int, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+r.IntN(50))*time.Millisecond)
	defer cancel()
	how, good := r.IntN(4), r.IntN(4)
	err = retry.Run(ctx, p, func(context.Context) error {
		attempts++
		switch {
		case attempts > good:
			return nil
		case how == 0:
			return retry.Permanent(errOp)
		case how == 1: // the caller leaves while the call waits
			time.AfterFunc(time.Millisecond, cancel)
		}
		return errOp
	})
	return attempts, err
}

func book(s *retry.Stats, attempts int, err error) {
	if s.Retries += uint64(attempts - 1); attempts > 1 {
		s.Retried++
		if err == nil {
			s.Recovered++
		}
	}
	if _, ok := errors.AsType[*retry.Error](err); ok {
		s.GaveUp++
	}
	if errors.Is(err, retry.ErrBudget) {
		s.Refused++
	}
	if errors.Is(err, retry.ErrDeadline) {
		s.Expired++
	}
}

// hedgedCall makes a call that is slow now and then, counts the attempts, and reports
// whether a hedge has won.
func hedgedCall(t *testing.T, h *retry.Hedger, seed uint64, begun *atomic.Uint64) bool {
	var n atomic.Uint64
	number, err := retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
		begun.Add(1)
		r := rand.New(rand.NewPCG(seed, n.Add(1)))
		select {
		case <-time.After(time.Duration(r.IntN(12)) * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if r.IntN(5) == 0 {
			return 0, errOp
		}
		a, ok := retry.AttemptFrom(ctx)
		if !ok {
			return 1, nil
		}
		return a.Number, nil
	}, nil)
	return err == nil && number > 1
}

// neverFall reads all counters until done is closed.
func neverFall(t *testing.T, done chan struct{}, p *retry.Policy, h *retry.Hedger, b *retry.Budget) {
	var last [11]uint64
	for {
		s, hs, bs := p.Stats(), h.Stats(), b.Stats()
		now := [11]uint64{s.Retried, s.Retries, s.Recovered, s.GaveUp, s.Refused, s.Expired, hs.Hedges, hs.Wins, hs.Refused, bs.Granted, bs.Refused}
		for i := range now {
			if now[i] < last[i] {
				t.Errorf("%v, and before %v", now, last)
				return
			}
		}
		last = now
		select {
		case <-done:
			return
		case <-time.After(100 * time.Microsecond):
		}
	}
}
