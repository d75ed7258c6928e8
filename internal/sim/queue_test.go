package sim

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"
)

// queue plays a single server with unlimited places to wait, Poisson arrivals and the given service times, and returns
// how long its customers waited and how long they stayed.
func queue(t *testing.T, seed uint64, customers int, rate float64, service func(*Rand) time.Duration) (waits, stays Samples) {
	Run(t, seed, func(s *Sim) {
		var waiting []time.Duration // when they arrived; the first is being served
		var serve func()
		serve = func() {
			arrived := waiting[0]
			waits = append(waits, s.Now()-arrived)
			s.After(service(s.Rand), func() {
				stays = append(stays, s.Now()-arrived)
				if waiting = waiting[1:]; len(waiting) > 0 {
					serve()
				}
			})
		}
		s.Poisson(0, time.Duration(float64(customers)/rate*float64(time.Second)), rate, func() {
			if waiting = append(waiting, s.Now()); len(waiting) == 1 {
				serve()
			}
		})
	})
	return waits, stays
}

// Queues with a known answer show that the kit's clock, randomness, arrivals and quantiles are right.
func TestSimQueues(t *testing.T) {
	const mu = 10.0 // customers a second
	customers, seeds, tolerance := 20_000, 3, map[float64]float64{0.5: 0.1, 0.7: 0.15}
	if Full() {
		customers, seeds, tolerance = 200_000, 5, map[float64]float64{0.5: 0.03, 0.7: 0.06}
	}
	var table Table
	table.Row("queue", "load", "seed", "mean wait", "theory", "median stay", "theory", "p99 stay", "theory")
	for _, load := range []float64{0.5, 0.7} {
		for seed := range seeds {
			lambda := load * mu
			check := func(queue, what string, got time.Duration, want float64) time.Duration {
				t.Helper()
				within(t, fmt.Sprintf("%s, load %v, seed %d, %s", queue, load, seed, what), got.Seconds(), want, tolerance[load])
				return time.Duration(want * float64(time.Second))
			}
			waits, stays := queue(t, uint64(seed), customers, lambda, func(r *Rand) time.Duration { return r.Exp(time.Second / mu) })
			table.Row("M/M/1", load, seed,
				waits.Mean(), check("M/M/1", "mean wait", waits.Mean(), load/(mu-lambda)),
				stays.Quantile(0.5), check("M/M/1", "median stay", stays.Quantile(0.5), math.Log(2)/(mu-lambda)),
				stays.Quantile(0.99), check("M/M/1", "p99 stay", stays.Quantile(0.99), math.Log(100)/(mu-lambda)))
			if seed > 0 {
				continue
			}
			waits, _ = queue(t, uint64(seed), customers, lambda, func(*Rand) time.Duration { return time.Second / mu })
			table.Row("M/D/1", load, seed, waits.Mean(), check("M/D/1", "mean wait", waits.Mean(), load/(2*(mu-lambda))))
		}
	}
	if Full() {
		t.Logf("\n%s", table)
	}
}

// A server that takes a second, and 10 ms more for every call it is at, holds c = rate * (1 + c/100) calls. That is the
// system that collapses under retries; without them it is stable at any rate below 100 a second.
func TestSimEquilibrium(t *testing.T) {
	const latency, more, network = time.Second, 10 * time.Millisecond, 100 * time.Millisecond
	span, seeds, tolerance := 200*time.Second, 2, 0.1
	rates := []float64{20, 40}
	if Full() {
		span, seeds, tolerance = 1000*time.Second, 5, 0.07
		rates = append(rates, 60, 80)
	}
	var table Table
	table.Row("rate", "seed", "calls", "theory")
	for _, rate := range rates {
		for seed := range seeds {
			mean := func(play func(s *Sim, enter func() time.Duration, leave func())) float64 {
				calls, seen, arrivals := 0, 0, 0
				enter := func(s *Sim) time.Duration {
					if s.Now() > span/4 { // Poisson arrivals see time averages
						seen += calls
						arrivals++
					}
					calls++
					return latency + time.Duration(calls-1)*more
				}
				Run(t, uint64(seed), func(s *Sim) {
					play(s, func() time.Duration { return enter(s) }, func() { calls-- })
				})
				return float64(seen) / float64(arrivals)
			}
			got := mean(func(s *Sim, enter func() time.Duration, leave func()) {
				s.Poisson(0, span, rate, func() {
					s.After(s.Rand.Exp(network), func() { s.After(enter(), leave) })
				})
			})
			theory := rate / (1 - 0.01*rate)
			within(t, fmt.Sprintf("%v calls a second, seed %d", rate, seed), got, theory, tolerance)
			table.Row(rate, seed, got, theory)
			if seed > 0 {
				continue
			}
			processes := mean(func(s *Sim, enter func() time.Duration, leave func()) {
				s.Poisson(0, span, rate, func() {
					s.Go(func(ctx context.Context) {
						s.Sleep(ctx, s.Rand.Exp(network))
						s.Sleep(ctx, enter())
						leave()
					})
				})
			})
			if processes != got {
				t.Errorf("%v calls a second: %v in processes, %v in events", rate, processes, got)
			}
		}
	}
	if Full() {
		t.Logf("\n%s", table)
	}
}
