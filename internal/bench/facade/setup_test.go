// Package facade_test measures belay's facade beside its peers.
//
// The peers assign captured variables, which is how results come out of them. The
// floor is the same functions called one after the other.
package facade_test

import (
	"context"
	"errors"
	"testing"

	"github.com/belay-go/belay/facade"
)

func BenchmarkFacade(b *testing.B) {
	b.Run("fan4", fan4)
	b.Run("fan4-par", fan4Par)
	b.Run("chain4", chain4)
	b.Run("timeouts4", timeouts4)
	b.Run("timeouts4-waiting", timeouts4Waiting)
	b.Run("plan10", plan10)
	b.Run("plan100", plan100)
}

var errWrong = errors.New("wrong sum")

// The operations are never inlined: every implementation pays for the call.

//go:noinline
func one(_ context.Context, in int) (int, error) { return in + 1000, nil }

// waiting asks for what a request over the network would wait on.
//
//go:noinline
func waiting(ctx context.Context, in int) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	default:
		return in + 1000, nil
	}
}

func mustBuild(b *testing.B, p *facade.Plan[int], sum func(*facade.Values) (int, error)) *facade.Facade[int, int] {
	b.Helper()
	f, err := facade.Build(p, sum)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// mustBe fails the benchmark unless call returns want.
func mustBe(b *testing.B, want int, call func() (int, error)) {
	b.Helper()
	if got, err := call(); got != want || err != nil {
		b.Fatalf("got %d, %v; want %d", got, err, want)
	}
}
