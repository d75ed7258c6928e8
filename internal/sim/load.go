package sim

import (
	"math/rand/v2"
	"time"
)

// A Rand is a seeded source of random numbers.
type Rand struct{ *rand.Rand }

// NewRand returns the n-th source of a seed.
func NewRand(seed, n uint64) *Rand { return &Rand{rand.New(rand.NewPCG(seed, n))} }

// Exp returns an exponentially distributed time.
func (r *Rand) Exp(mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}

// Normal returns a normally distributed time, or 0 where that is negative.
func (r *Rand) Normal(mean, deviation time.Duration) time.Duration {
	return max(0, mean+time.Duration(r.NormFloat64()*float64(deviation)))
}

// Poisson calls arrive at the times of a Poisson process of rate arrivals a second, from one time until before another.
// The load is open: it does not wait for anybody. It draws from a source of its own, so that the arrivals are the same
// whatever the simulated system does. A rate that changes is several calls.
func (s *Sim) Poisson(from, to time.Duration, rate float64, arrive func()) {
	s.sources++
	r := NewRand(s.seed, s.sources)
	gap := func() time.Duration { return r.Exp(time.Duration(float64(time.Second) / rate)) }
	var next func(time.Duration)
	next = func(at time.Duration) {
		if at < to {
			s.At(at, func() {
				next(at + gap())
				arrive()
			})
		}
	}
	next(from + gap())
}

// Paced calls arrive rate times a second, in equal steps, from one time until before another.
func (s *Sim) Paced(from, to time.Duration, rate float64, arrive func()) {
	var next func(n int)
	next = func(n int) {
		if at := from + time.Duration(float64(n)*float64(time.Second)/rate); at < to {
			s.At(at, func() {
				next(n + 1)
				arrive()
			})
		}
	}
	next(0)
}
