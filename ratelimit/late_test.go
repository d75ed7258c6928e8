package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// lateTimers are late as those of the runtime are on Linux: by a millisecond, since it
// sleeps in whole ones, and by much more now and then.
func lateTimers(r *rand.Rand) func() time.Duration {
	var mu sync.Mutex
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		late := time.Duration(60+r.IntN(1100)) * time.Microsecond
		if r.IntN(500) == 0 {
			late += time.Duration(r.IntN(5)) * time.Millisecond
		}
		return late
	}
}

// Callers that all wait in line get the rate, however small the burst is and however
// late the timers are.
func TestWaitersGetTheRate(t *testing.T) {
	for _, perSecond := range []rate.Limit{100, 1000, 10_000} {
		for _, burst := range []int{1, 2, 10} {
			late := lateTimers(rand.New(rand.NewPCG(uint64(perSecond), uint64(burst))))
			for name, wait := range map[string]func() func(context.Context) error{
				"Limiter": func() func(context.Context) error {
					l := New(Config{Rate: perSecond, Burst: burst})
					l.line.late = late
					return l.Wait
				},
				"Keyed": func() func(context.Context) error {
					k := NewKeyed(KeyedConfig[string]{Rate: perSecond, Burst: burst})
					k.late = late
					return func(ctx context.Context) error { return k.Wait(ctx, "a") }
				},
				"All": func() func(context.Context) error {
					a := All(New(Config{Rate: perSecond, Burst: burst}), New(Config{Rate: 2 * perSecond})).(*all)
					a.line.late = late
					return a.Wait
				},
			} {
				t.Run(fmt.Sprintf("%s, %v a second, burst %d", name, perSecond, burst), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						span := time.Second * time.Duration(max(1, 1000/perSecond))
						wait := wait()
						ctx, cancel := context.WithTimeout(t.Context(), span)
						defer cancel()
						var wg sync.WaitGroup
						var mu sync.Mutex
						served := 0
						for range 32 {
							wg.Go(func() {
								for ctx.Err() == nil {
									if err := wait(t.Context()); err != nil {
										t.Error(err)
									}
									mu.Lock()
									served++
									mu.Unlock()
								}
							})
						}
						wg.Wait()
						if share := float64(served) / (float64(perSecond) * span.Seconds()); share < 0.995 || share > 1.005+float64(burst+32)/float64(perSecond) {
							t.Errorf("%.1f %% of the rate", 100*share)
						}
					})
				})
			}
		}
	}
}

// However late the timers are, what is let through in a span is at most the burst, and
// what flows in within the span and maxLate.
func TestLateTimersKeepTheBound(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 13))
			burst := 1 + r.IntN(8)
			every := time.Duration(20+r.IntN(5000)) * time.Microsecond
			l := New(Config{Rate: rate.Every(every), Burst: burst})
			var mu sync.Mutex
			l.line.late = func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return time.Duration(r.ExpFloat64() * float64(4*time.Millisecond))
			}
			start := time.Now()
			var at []time.Duration // of each token
			most := 0              // how many more than without maxLate
			var wg sync.WaitGroup
			for range 300 {
				mu.Lock()
				n, pause, low := 1+r.IntN(burst), time.Duration(r.IntN(int(4*every))), r.IntN(4) == 0
				mu.Unlock()
				ctx := t.Context()
				if low {
					ctx = LowPriority(ctx)
				}
				wg.Go(func() {
					if l.WaitN(ctx, n) == nil {
						mu.Lock()
						defer mu.Unlock()
						for range n {
							at = append(at, time.Since(start))
						}
					}
				})
				time.Sleep(pause)
			}
			wg.Wait()
			for i := range at {
				for j := i; j < len(at); j++ {
					span := at[j] - at[i]
					if bound := burst + int((span+maxLate)/every); j-i+1 > bound {
						t.Fatalf("seed %d: %d tokens in %v, at most %d", seed, j-i+1, span, bound)
					}
					most = max(most, j-i+1-burst-int(span/every))
				}
			}
			if most <= 0 {
				t.Errorf("seed %d: no late timer was made up for", seed)
			}
		})
	}
}

// A call that finds nobody in line takes at once, and has no part in what a late timer
// was owed before.
func TestLateTimersHelpOnlyThoseInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: 1000, StartEmpty: true})
		l.line.late = func() time.Duration { return 9500 * time.Microsecond }
		start := time.Now()
		if l.Wait(t.Context()); time.Since(start) != 10500*time.Microsecond {
			t.Fatalf("served after %v", time.Since(start))
		}
		if !l.Allow() || l.Allow() {
			t.Error("after the pause there must be the one token that the bucket holds")
		}
	})
}
