package breaker

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	w := window{step: time.Second}
	for i, step := range []struct {
		at              time.Duration
		failed          bool
		calls, failures int
	}{
		{0, true, 1, 1},
		{900 * time.Millisecond, false, 2, 1},
		{5 * time.Second, true, 3, 2},
		{4 * time.Second, true, 4, 3}, // read the clock early, came late
		{9900 * time.Millisecond, false, 5, 3},
		{10 * time.Second, false, 4, 2}, // the first step is over
		{14900 * time.Millisecond, false, 5, 2},
		{15 * time.Second, true, 4, 1},
		{time.Hour, true, 1, 1},
	} {
		w.add(step.at, step.failed)
		if calls, failures := w.sum(step.at); calls != step.calls || failures != step.failures {
			t.Errorf("step %d at %v: %d calls, %d failures; want %d, %d", i, step.at, calls, failures, step.calls, step.failures)
		}
	}
	if calls, _ := w.sum(2 * time.Hour); calls != 0 {
		t.Errorf("%d calls after an hour without any", calls)
	}
}
