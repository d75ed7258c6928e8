package loadbalance_test

import (
	"testing"
	"time"
)

// A caller picks one of n endpoints; done ends the call.
type caller func() (endpoint int, done func())

// A check fails the benchmark unless a rule does what it is measured for.
type check func(b *testing.B, n int, call caller)

// mustTakeTurns is for round robin.
func mustTakeTurns(b *testing.B, n int, call caller) {
	b.Helper()
	calls := make([]int, n)
	for range n {
		endpoint, done := call()
		done()
		calls[endpoint]++
	}
	for endpoint, got := range calls {
		if got != 1 {
			b.Fatalf("of %d calls, %d are for endpoint %d", n, got, endpoint)
		}
	}
}

// mustLevel is for rules that look at the calls in flight.
func mustLevel(b *testing.B, n int, call caller) {
	b.Helper()
	inFlight := make([]int, n)
	for range 10 * n {
		endpoint, done := call()
		defer done()
		inFlight[endpoint]++
	}
	for endpoint, got := range inFlight {
		if got < 3 || got > 17 {
			b.Fatalf("of %d calls in flight, endpoint %d has %d", 10*n, endpoint, got)
		}
	}
}

// mustShun is for rules that look at latencies. As those are of real time, a rule has
// three tries.
func mustShun(b *testing.B, n int, call caller) {
	b.Helper()
	const slow = 3
	calls := 0
	for range 3 {
		for range 10 * n {
			endpoint, done := call()
			if endpoint == slow {
				time.Sleep(2 * time.Millisecond)
			}
			done()
		}
		calls = 0
		for range 20 * n {
			endpoint, done := call()
			done()
			if endpoint == slow {
				calls++
			}
		}
		if calls <= 10 {
			return
		}
	}
	b.Fatalf("of %d calls, %d are for a slow endpoint", 20*n, calls)
}

// weight is that of an endpoint.
func weight(endpoint int) int { return endpoint%4 + 1 }

// mustWeigh is for weighted round robin.
func mustWeigh(b *testing.B, n int, call caller) {
	b.Helper()
	sum := 0
	for endpoint := range n {
		sum += weight(endpoint)
	}
	calls := make([]int, n)
	for range 20 * sum {
		endpoint, done := call()
		done()
		calls[endpoint]++
	}
	for endpoint, got := range calls {
		if want := 20 * weight(endpoint); got < want-2 || got > want+2 {
			b.Fatalf("of %d calls, %d are for endpoint %d, want %d", 20*sum, got, endpoint, want)
		}
	}
}
