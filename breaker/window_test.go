package breaker

import (
	"sync"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	w := &window{step: time.Second}
	for i, step := range []struct {
		at   time.Duration
		kind kind
		want counts
	}{
		{0, failed, counts{failed: 1}},
		{900 * time.Millisecond, good, counts{good: 1, failed: 1}},
		{5 * time.Second, slow, counts{good: 1, failed: 1, slow: 1}},
		{4 * time.Second, slowAndFailed, counts{1, 1, 1, 1}}, // read the clock early, came late
		{9900 * time.Millisecond, good, counts{2, 1, 1, 1}},
		{10 * time.Second, good, counts{2, 0, 1, 1}}, // the first step is over
		{14900 * time.Millisecond, good, counts{3, 0, 1, 0}},
		{15 * time.Second, good, counts{4, 0, 0, 0}},
		{time.Hour, slow, counts{slow: 1}},
	} {
		w.add(step.at, 0, step.kind)
		if got := w.sum(step.at, 0); got != step.want {
			t.Errorf("step %d at %v: %v, want %v", i, step.at, got, step.want)
		}
	}
	w.add(time.Hour-20*time.Second, 0, slow) // its cell has gone to a later step
	w.add(time.Hour-time.Minute, 0, good)
	if got := w.sum(time.Hour, 0); got != (counts{slow: 1}) {
		t.Errorf("%v after calls that came a window late", got)
	}
	if c := (counts{1, 2, 4, 8}); c.calls() != 15 || c.bad() != 14 || c.failed() != 10 || c.slow() != 12 {
		t.Errorf("%v: %d calls, %d bad, %d failed, %d slow", c, c.calls(), c.bad(), c.failed(), c.slow())
	}
}

// The numbers of steps wrap, after seven weeks of a step of a millisecond; cells
// that nobody has used for long must not be taken for later ones.
func TestNumbersOfStepsWrap(t *testing.T) {
	for _, n := range []time.Duration{1<<31 - 5, 1 << 31, 1<<31 + 5, 3 << 30, 1<<32 + 1<<20, 3<<31 + 7} {
		w := &window{step: 1}
		w.add(3, 0, failed) // ages ago
		w.add(n, 0, good)
		w.add(n+1, 0, failed)
		if got := w.sum(n+2, 0); got != (counts{good: 1, failed: 1}) {
			t.Errorf("at step %d: %v", n, got)
		}
		f := newInflight(4)
		f.begin(3) // never ends
		f.begin(n)
		if got := f.overdue(n + 1); got > 1 {
			t.Errorf("at quarter %d: %d overdue", n, got)
		}
		f.end(n)
		f.end(3)
		if got := f.overdue(n + 100); got != 0 {
			t.Errorf("at quarter %d: %d overdue when all have ended", n, got)
		}
	}
}

func TestWindowLosesNothing(t *testing.T) {
	w := &window{step: time.Millisecond}
	var wg sync.WaitGroup
	for k := range judgedKinds {
		for range 4 {
			wg.Go(func() {
				for i := range 5000 {
					w.add(time.Duration(i)*time.Microsecond, 0, k)
				}
			})
		}
	}
	wg.Wait()
	if got := w.sum(5*time.Millisecond, 0); got != (counts{20000, 20000, 20000, 20000}) {
		t.Errorf("%v", got)
	}
	if got := w.total(); got != [kinds]uint64{20000, 20000, 20000, 20000} {
		t.Errorf("%v since the beginning", got)
	}
}

func TestInflight(t *testing.T) {
	const quarter = 250 * time.Millisecond
	f := newInflight(4 * quarter)
	for i := range 3 {
		f.begin(time.Duration(i) * quarter)
	}
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{
		{2 * quarter, 0},
		{5*quarter - 1, 0}, // the first runs for a second and nearly a quarter
		{5 * quarter, 1},
		{7 * quarter, 3},
		{100 * quarter, 3},
	} {
		if got := f.overdue(tt.at); got != tt.want {
			t.Errorf("%d overdue at %v, want %d", got, tt.at, tt.want)
		}
	}
	f.begin(8 * quarter) // takes the cell of the first
	if got := f.overdue(9 * quarter); got != 3 {
		t.Errorf("%d overdue when one of them has lost its cell, want 3", got)
	}
	f.begin(quarter / 2) // read the clock long ago
	if got := f.overdue(9 * quarter); got != 4 {
		t.Errorf("%d overdue, want 4", got)
	}
	for i := range 3 {
		f.end(time.Duration(i) * quarter)
	}
	f.end(quarter / 2)
	if got := f.overdue(9 * quarter); got != 0 {
		t.Errorf("%d overdue when those have ended", got)
	}
	if got := f.overdue(20 * quarter); got != 1 {
		t.Errorf("%d overdue, want the last", got)
	}
	if !f.due(3*quarter) || f.due(3*quarter+1) || !f.due(4*quarter) {
		t.Error("not due once a quarter")
	}
}

func TestInflightLosesNothing(t *testing.T) {
	f := newInflight(4 * time.Microsecond)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				began := time.Duration(i*(g+1)) * 100 * time.Nanosecond
				f.begin(began)
				f.overdue(began)
				f.end(began)
			}
		})
	}
	wg.Wait()
	left := f.older.Load()
	for i := range f.recent {
		left += int64(uint32(f.recent[i].Load()))
	}
	if left != 0 {
		t.Errorf("%d counted when all have ended", left)
	}
}
