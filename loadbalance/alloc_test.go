package loadbalance_test

import (
	"context"
	"testing"

	"github.com/belay-go/belay/loadbalance"
)

func TestAllocations(t *testing.T) {
	ctx := t.Context()
	for _, policy := range policies {
		for _, n := range []int{1, 10, 100} {
			for name, cfg := range map[string]loadbalance.Config{
				"":              {Policy: policy},
				", with limits": {Policy: policy, MaxInFlight: 100},
			} {
				b := fixed(n, cfg)
				if got := testing.AllocsPerRun(100, func() {
					p, _ := b.Pick(ctx)
					p.Done(good)
				}); got != 0 {
					t.Errorf("%v of %d%s: %v allocations", policy, n, name, got)
				}
				if got := testing.AllocsPerRun(100, func() {
					loadbalance.Do(ctx, b, func(context.Context, int) (int, error) { return 0, nil })
				}); got != 0 {
					t.Errorf("Do with %v of %d%s: %v allocations", policy, n, name, got)
				}
			}
		}
	}
}
