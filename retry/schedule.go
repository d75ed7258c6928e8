package retry

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A Jitter says how much of a delay is left to chance.
type Jitter uint8

const (
	// FullJitter draws each delay evenly from 0 to the scheduled one. It spreads
	// competing clients best (Brooker, "Exponential Backoff And Jitter", 2015).
	FullJitter Jitter = iota
	// NoJitter waits exactly as scheduled.
	NoJitter
	// EqualJitter waits half of the scheduled delay and draws the other half, so
	// that no two attempts follow each other closely.
	EqualJitter
	// DecorrelatedJitter draws each delay evenly from base to three times the
	// one before, up to max. It grows by chance instead of by doubling.
	DecorrelatedJitter
)

// Exponential returns a schedule that begins with base and doubles up to max,
// for any number of attempts. It panics if base or max is negative.
func Exponential(base, max time.Duration, j Jitter) func() backoff.BackOff {
	if base < 0 || max < 0 {
		panic("retry: Exponential: base or max is negative")
	}
	if j > DecorrelatedJitter {
		panic("retry: Exponential: the jitter is none of the constants")
	}
	return func() backoff.BackOff { return &exponential{base: base, max: max, jitter: j} }
}

// Constant returns a schedule that always waits d. It panics if d is negative.
func Constant(d time.Duration) func() backoff.BackOff {
	if d < 0 {
		panic("retry: Constant: the delay is negative")
	}
	var b backoff.BackOff = constant(d) // without state: one is enough for all calls
	return func() backoff.BackOff { return b }
}

// Sequence returns a schedule that waits the given delays in turn, and then the
// last one again and again. It panics if there is none, or one is negative.
func Sequence(delays ...time.Duration) func() backoff.BackOff {
	if len(delays) == 0 {
		panic("retry: Sequence: no delays")
	}
	if slices.Min(delays) < 0 {
		panic("retry: Sequence: a delay is negative")
	}
	delays = slices.Clone(delays)
	return func() backoff.BackOff { return &sequence{delays: delays} }
}

type constant time.Duration

func (constant) Reset()                       {}
func (c constant) NextBackOff() time.Duration { return time.Duration(c) }

type sequence struct {
	delays []time.Duration
	next   int
}

func (s *sequence) Reset() { s.next = 0 }

func (s *sequence) NextBackOff() time.Duration {
	d := s.delays[s.next]
	s.next = min(s.next+1, len(s.delays)-1)
	return d
}

type exponential struct {
	base, max, next time.Duration // next: the delay before chance; decorrelated: the last delay
	jitter          Jitter
	rand            func(n uint64) uint64 // below n; nil: rand.Uint64N
}

func (e *exponential) Reset() { e.next = min(e.base, e.max) }

func (e *exponential) NextBackOff() time.Duration {
	if e.jitter == DecorrelatedJitter {
		low := min(e.base, e.max)
		high := e.max
		if e.next <= e.max/3 { // three times of it does not pass max, or overflow
			high = max(3*e.next, low)
		}
		e.next = low + e.draw(high-low)
		return e.next
	}
	d := e.next
	if e.next > e.max/2 { // doubling would pass max, or overflow
		e.next = e.max
	} else {
		e.next *= 2
	}
	switch e.jitter {
	case FullJitter:
		return e.draw(d)
	case EqualJitter:
		return d/2 + e.draw(d-d/2)
	}
	return d
}

// draw returns a time between 0 and d, both included.
func (e *exponential) draw(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	draw := e.rand
	if draw == nil {
		draw = rand.Uint64N
	}
	return time.Duration(draw(uint64(d) + 1))
}
