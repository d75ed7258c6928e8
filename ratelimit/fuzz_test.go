package ratelimit

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// FuzzLimiter does what the bytes say to a Limiter and to a bucket that is kept as a
// number of tokens.
func FuzzLimiter(f *testing.F) {
	f.Add([]byte{0, 9, 18, 3, 12, 21, 250, 130, 77, 5, 6, 7})
	f.Add([]byte("take, wait, and change the limit"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		synctest.Test(t, func(t *testing.T) {
			limit, burst := 10., 10.
			l := New(Config{Rate: 10, Burst: 10})
			tokens, last := 10., time.Now()
			var open *Charge
			for i, op := range ops[:min(len(ops), 300)] {
				tokens = min(burst, tokens+time.Since(last).Seconds()*limit)
				last = time.Now()
				arg := int(op >> 3)
				n := float64(arg % 13)
				const eps = 1e-3 // intervals and changes are rounded, to nanoseconds
				switch op & 7 {
				case 0, 1:
					d := l.Take(int(n))
					if sure := math.Abs(tokens-n) > eps; sure && n > 0 && d.OK != (tokens >= n) {
						t.Fatalf("step %d: %+v for %v of %v tokens", i, d, n, tokens)
					}
					if d.OK {
						tokens -= n
					} else if n <= burst && math.Abs(d.RetryAfter.Seconds()-(n-tokens)/limit) > eps {
						t.Fatalf("step %d: %+v for %v of %v tokens, %v a second", i, d, n, tokens, limit)
					}
				case 2, 3:
					time.Sleep(time.Duration(arg) * 37 * time.Millisecond)
				case 4:
					if limit = float64(1 + arg); arg%2 == 0 {
						limit *= 1e-2
					}
					l.SetLimit(rate.Limit(limit))
					open = nil
				case 5:
					burst = float64(1 + arg)
					tokens = min(tokens, burst)
					l.SetBurst(1 + arg)
					open = nil
				case 6:
					start := time.Now()
					if err := l.WaitN(t.Context(), int(n)); (err == nil) != (n <= burst) {
						t.Fatalf("step %d: %v for %v, burst %v", i, err, n, burst)
					} else if err == nil {
						tokens = tokens + time.Since(start).Seconds()*limit
						if last = time.Now(); time.Since(start) == 0 {
							tokens = min(tokens, burst)
						}
						tokens -= n
					}
				case 7:
					if open == nil {
						if c, err := l.Charge(t.Context(), 0); err == nil {
							open = &c
						}
					} else {
						open.Settle(arg % 5)
						tokens -= float64(arg % 5)
						open = nil
					}
				}
				if got := l.Tokens(); math.Abs(got-min(burst, tokens+time.Since(last).Seconds()*limit)) > eps*10 {
					t.Fatalf("step %d (%d): %v tokens, want %v", i, op&7, got, tokens)
				}
			}
		})
	})
}
