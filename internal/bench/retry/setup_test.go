// Package retry_test measures belay's retries beside its peers.
//
// The floors are one direct call (first-try, hedge-idle), two (zero-delay), and an
// http.Client without retries (transport-get, transport-post).
package retry_test

import (
	"context"
	"errors"
	"testing"

	sethvargo "github.com/sethvargo/go-retry"
)

func BenchmarkRetry(b *testing.B) {
	b.Run("first-try", firstTry)
	b.Run("zero-delay", zeroDelay)
	b.Run("hedge-idle", hedgeIdle)
	b.Run("transport-get", transportGet)
	b.Run("transport-post", transportPost)
}

var errDown = errors.New("down")

// The operations are never inlined: every implementation pays for the call.

//go:noinline
func succeed(context.Context) (int, error) { return 1, nil }

//go:noinline
func succeedPlain() (int, error) { return 1, nil }

// flaky is an operation that fails in every odd call.
type flaky struct{ calls int }

//go:noinline
func (f *flaky) plain() (int, error) {
	if f.calls++; f.calls%2 == 1 {
		return 0, errDown
	}
	return f.calls, nil
}

//go:noinline
func (f *flaky) op(context.Context) (int, error) {
	if f.calls++; f.calls%2 == 1 {
		return 0, errDown
	}
	return f.calls, nil
}

// marked is op for sethvargo, which retries only marked errors.
//
//go:noinline
func (f *flaky) marked(context.Context) (int, error) {
	if f.calls++; f.calls%2 == 1 {
		return 0, sethvargo.RetryableError(errDown)
	}
	return f.calls, nil
}

// mustRetry fails the benchmark unless do calls an operation of f, which fails at
// first, once more.
func mustRetry(b *testing.B, do func(f *flaky) (int, error)) {
	b.Helper()
	f := new(flaky)
	if v, err := do(f); v != 2 || err != nil || f.calls != 2 {
		b.Fatalf("an operation that fails once was called %d times and gave %d, %v; want 2, 2, nil", f.calls, v, err)
	}
}
