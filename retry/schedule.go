package retry

import (
	"fmt"
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
	// EqualJitter waits half of the scheduled delay and draws the other half, so
	// that no two attempts follow each other closely.
	EqualJitter
)

// String returns the jitter in words, like "full".
func (j Jitter) String() string {
	switch j {
	case FullJitter:
		return "full"
	case NoJitter:
		return "none"
	case EqualJitter:
		return "equal"
	}
	return fmt.Sprintf("Jitter(%d)", uint8(j))
}

// Exponential returns a schedule that begins with base and doubles up to max,
// for any number of attempts. It panics if base or max is negative.
func Exponential(base, max time.Duration, j Jitter) func() backoff.BackOff {
	if base < 0 || max < 0 {
		panic("retry: Exponential: base or max is negative")
	}
	if j > EqualJitter {
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

type constant time.Duration

func (constant) Reset()                       {}
func (c constant) NextBackOff() time.Duration { return time.Duration(c) }

type exponential struct {
	base, max, next time.Duration // next: the delay before chance
	jitter          Jitter
	rand            func(n uint64) uint64 // below n; nil: rand.Uint64N
}

func (e *exponential) Reset() { e.next = min(e.base, e.max) }

func (e *exponential) NextBackOff() time.Duration {
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
