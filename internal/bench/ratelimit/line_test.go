package ratelimit_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/ratelimit"
	uber "go.uber.org/ratelimit"
	"golang.org/x/time/rate"
)

// Thirty-two workers wait in line all the time. The time of a call says little, since
// it is that of the limit: the metric is the share of the rate that the workers get.
const workers = 32

func BenchmarkRatelimitLine(b *testing.B) {
	for _, perSecond := range []float64{100, 1000, 10_000, 100_000} {
		for _, burst := range []int{1, 2, 10} {
			b.Run(fmt.Sprintf("%v-a-second-burst-%d", int(perSecond), burst), func(b *testing.B) {
				b.Run("belay", func(b *testing.B) {
					work(b, perSecond, func() func(context.Context) error {
						return ratelimit.New(ratelimit.Config{Rate: rate.Limit(perSecond), Burst: burst, StartEmpty: true}).Wait
					})
				})
				b.Run("x-time", func(b *testing.B) {
					work(b, perSecond, func() func(context.Context) error {
						limiter := rate.NewLimiter(rate.Limit(perSecond), burst)
						limiter.AllowN(time.Now(), burst)
						return limiter.Wait
					})
				})
				b.Run("uber", func(b *testing.B) {
					work(b, perSecond, func() func(context.Context) error {
						limiter := uber.New(int(perSecond), uber.WithSlack(burst))
						limiter.Take()
						return func(context.Context) error { limiter.Take(); return nil }
					})
				})
			})
		}
	}
}

// work lets the workers make b.N calls. The limit begins empty when the clock does, so that
// they take b.N intervals. What they take beyond that is what the timer of the last call is
// late, up to a millisecond in all: in a run of 30 ms it is two or three per cent.
func work(b *testing.B, perSecond float64, limit func() (wait func(context.Context) error)) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	wait := limit()
	for range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := wait(b.Context()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(100*float64(b.N)/(perSecond*b.Elapsed().Seconds()), "%rate")
}
