package loadbalance_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// Sets, health, checks, picks of all kinds and looks at the statistics, all at once:
// no pick fails, and no call is lost.
func TestEverythingAtOnce(t *testing.T) {
	for _, policy := range policies {
		b := loadbalance.New(loadbalance.Static(numbers(20)...), loadbalance.Config{
			Policy: policy, EjectAfter: 2, EjectFor: time.Millisecond, MaxEjectFor: 2 * time.Millisecond, SlowStart: time.Millisecond,
			CheckEvery: time.Millisecond, CheckFailures: 1, CheckPasses: 1, TrialLease: time.Millisecond,
			Observe: func(context.Context, loadbalance.Event) {},
		})
		b.Check(func(_ context.Context, v int) error {
			if v == 7 {
				return errors.New("down")
			}
			return nil
		})
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				set := numbers(20)
				loadbalance.Set(b, set[n%10:10+n%11], nil)
				b.Stats()
			}
		})
		var callers sync.WaitGroup
		for c := range 4 {
			callers.Go(func() {
				for i := range 1000 {
					ctx := t.Context()
					if c == 0 {
						ctx = loadbalance.WithSpread(ctx)
					}
					var hint loadbalance.Hint
					if c == 1 {
						hint.Prefer = []string{"3", "12"}
					}
					p, err := b.PickWith(ctx, hint)
					if err != nil {
						t.Error(err)
						return
					}
					if i%3 == 0 {
						p.Answered(good)
					}
					p.Done([]result{good, good, failed, {Outcome: loadbalance.Overload, RetryAfter: 1}}[i%4])
				}
			})
		}
		callers.Wait()
		close(stop)
		wg.Wait()
		for _, e := range b.Stats().Endpoints {
			if e.InFlight != 0 {
				t.Errorf("%v: %+v", policy, e)
			}
		}
		b.Close()
	}
}
