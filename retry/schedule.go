package retry

import (
	"math/rand/v2"
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
)

// Exponential returns a schedule that begins with base and doubles up to max,
// for any number of attempts. It panics if base or max is negative.
func Exponential(base, max time.Duration, j Jitter) func() backoff.BackOff {
	if base < 0 || max < 0 {
		panic("retry: Exponential: base or max is negative")
	}
	return func() backoff.BackOff { return &exponential{base: base, max: max, jitter: j} }
}

// Constant returns a schedule that always waits d. It panics if d is negative.
func Constant(d time.Duration) func() backoff.BackOff {
	if d < 0 {
		panic("retry: Constant: the delay is negative")
	}
	return Exponential(d, d, NoJitter)
}

type exponential struct {
	base, max, next time.Duration
	jitter          Jitter
}

func (e *exponential) Reset() { e.next = min(e.base, e.max) }

func (e *exponential) NextBackOff() time.Duration {
	d := e.next
	if e.next > e.max/2 { // doubling would pass max, or overflow
		e.next = e.max
	} else {
		e.next *= 2
	}
	if e.jitter == FullJitter && d > 0 {
		return time.Duration(rand.Uint64N(uint64(d) + 1))
	}
	return d
}
