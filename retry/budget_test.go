package retry

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestBudgetModel compares a Budget with a plain account over random histories.
func TestBudgetModel(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			cfg := BudgetConfig{Ratio: float64(1+r.IntN(5)) / 10, Credit: 1 + r.IntN(10), Floor: float64(1 + r.IntN(3))}
			b := NewBudget(cfg)
			start := time.Now()
			balance, tick := float64(cfg.Credit), time.Duration(math.Ceil(1e9/cfg.Floor))
			next := tick
			retries, successes := 0, 0
			for range 500 {
				switch r.IntN(4) {
				case 0:
					time.Sleep(rand.N(2 * time.Second))
				case 1:
					b.deposit()
					successes++
					balance = min(balance+cfg.Ratio, float64(cfg.Credit))
				default:
					now := time.Since(start)
					want := false
					if balance > 1-1e-9 {
						want, balance = true, balance-1
					} else if now >= next {
						want, next = true, now+tick
					}
					got := b.withdraw()
					if got != want {
						t.Fatalf("seed %d: withdraw = %v, want %v, balance %v", seed, got, want, balance)
					}
					if got {
						retries++
						b.made()
					}
					bound := float64(cfg.Credit) + cfg.Floor*now.Seconds() + cfg.Ratio*float64(successes)
					if float64(retries) > bound+1e-9 {
						t.Fatalf("seed %d: %d retries, bound %v", seed, retries, bound)
					}
				}
			}
			if s := b.Stats(); math.Abs(s.Balance-balance) > 1e-6 || s.Granted != uint64(retries) {
				t.Errorf("seed %d: Stats %+v, want balance %v, granted %d", seed, s, balance, retries)
			}
		})
	}
}

func TestBudgetBoundHoldsConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{})
		start := time.Now()
		var successes, retries atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for i := range 2000 {
					if i%4 == 0 {
						// Counted first: what a deposit adds may be spent at once.
						successes.Add(1)
						b.deposit()
					} else if b.withdraw() {
						retries.Add(1)
						b.made()
					}
					if i%100 == 0 {
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		bound := 10 + time.Since(start).Seconds() + 0.1*float64(successes.Load())
		// Most of the load is retries, so the budget is spent to within what the
		// full account did not take.
		if n := float64(retries.Load()); n > bound || n < 0.8*bound {
			t.Errorf("%v retries, bound %v", n, bound)
		}
		if s := b.Stats(); s.Granted != uint64(retries.Load()) || s.Granted+s.Refused != 16*1500 {
			t.Errorf("Stats %+v, granted %d", s, retries.Load())
		}
	})
}

func TestBudgetOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Ratio: -1, Credit: -1, Floor: -1})
		b.deposit()
		time.Sleep(time.Hour)
		if b.withdraw() {
			t.Error("a budget of nothing granted a retry")
		}
		if !NoBudget.withdraw() {
			t.Error("NoBudget refused a retry")
		}
	})
}

func TestQuietProcessStillRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Credit: -1})
		granted := 0
		for range 100 {
			time.Sleep(500 * time.Millisecond)
			if b.withdraw() {
				granted++
			}
		}
		if granted != 50 {
			t.Errorf("%d retries in 50s, want 50", granted)
		}
	})
}

func TestBudgetErrors(t *testing.T) {
	invalid := []BudgetConfig{{Ratio: math.NaN()}, {Ratio: 1.5}, {Floor: math.Inf(1)}, {Floor: math.NaN()}}
	if math.MaxInt > math.MaxInt32 { // with 32 bits every Credit fits
		invalid = append(invalid, BudgetConfig{Credit: math.MaxInt})
	}
	for _, cfg := range invalid {
		if cfg.Validate() == nil {
			t.Errorf("%+v is valid", cfg)
		}
	}
	if err := (BudgetConfig{Ratio: -0.5, Credit: -1, Floor: 1e-300}).Validate(); err != nil {
		t.Error(err)
	}
	NewBudget(BudgetConfig{Floor: 1e-300}).withdraw()
}
