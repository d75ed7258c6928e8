package facade_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/facade"
	"github.com/google/go-cmp/cmp"
)

// Counts are exact, they never fall, and InFlight is never more than there are callers.
func TestStatsAreExact(t *testing.T) {
	const workers, rounds = 4, 300
	p := facade.New[int](facade.Config{Name: "page"})
	facade.Step(p, "required", func(_ context.Context, i int) (int, error) {
		if i%3 == 0 {
			return 0, errWrong
		}
		return i, nil
	})
	facade.Step(p, "optional", func(_ context.Context, i int) (int, error) {
		if i%2 == 0 {
			return 0, errWrong
		}
		return i, nil
	}).Optional()
	f := build(t, p, missing)
	var stop atomic.Bool
	var wg, watcher sync.WaitGroup
	watcher.Go(func() {
		var last facade.Stats
		for !stop.Load() {
			s := f.Stats()
			if s.Calls < last.Calls || s.Failed < last.Failed || s.Partial < last.Partial || s.Failed+s.Partial > s.Calls ||
				s.InFlight < 0 || s.InFlight > workers {
				t.Errorf("%+v after %+v", s, last)
				return
			}
			last = s
		}
	})
	for range workers {
		wg.Go(func() {
			for i := range rounds {
				f.Call(t.Context(), i)
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	watcher.Wait()
	s := f.Stats()
	s.Parts = nil // "optional" may have been cancelled
	want := facade.Stats{Name: "page", Calls: workers * rounds, Failed: workers * rounds / 3, Partial: workers * rounds / 3}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}
