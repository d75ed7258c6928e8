package breaker

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestRow(t *testing.T) {
	var r row
	for range 3 {
		r.add()
	}
	tag, n := r.suspend()
	if n != 3 || r.len() != 0 || r.empty() {
		t.Errorf("%d suspended, %d left", n, r.len())
	}
	r.add()
	r.restore(tag, n)
	if r.len() != 5 {
		t.Errorf("%d, want 5", r.len())
	}
	tag, n = r.suspend()
	other, none := r.suspend() // the next good call
	r.add()
	r.restore(other, none)
	r.restore(tag, n)
	if r.len() != 8 {
		t.Errorf("%d, want 8: all that were good have turned bad", r.len())
	}
	tag, n = r.suspend()
	other, none = r.suspend()
	r.add()
	r.keep() // one that was good has ended well
	r.restore(other, none)
	r.restore(tag, n)
	if r.len() != 3 {
		t.Errorf("%d, want 3: nothing was brought back", r.len())
	}
	tag, n = r.suspend()
	r.end()
	r.restore(tag, n)
	if r.len() != 1 {
		t.Errorf("%d, want 1", r.len())
	}
	if r.end(); !r.empty() {
		t.Error("not empty")
	}

	r.word.Store(maxRow)
	r.add()
	r.restore(0, 0)
	if r.len() != maxRow {
		t.Errorf("%d after more than it can count", r.len())
	}
	r.last.Store(math.MaxUint32) // a tag is never 0
	if tag, n = r.suspend(); tag != 1 || n != maxSuspended {
		t.Errorf("tag %d, %d suspended", tag, n)
	}
	r.word.Store(uint64(tag)<<32 | maxRow - 1)
	if r.restore(tag, n); r.len() != maxRow {
		t.Errorf("%d restored to more than it can count", r.len())
	}
}

func TestRowConcurrently(t *testing.T) {
	var r row
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				tag, n := r.suspend()
				r.restore(tag, n)
				r.add()
			}
		})
	}
	wg.Wait()
	if n := r.len(); n < 1 || n > 8*2*2000 {
		t.Errorf("%d in a row, of %d bad calls", n, 8*2*2000)
	}
}

func TestWindowTakesBack(t *testing.T) {
	w := &window{step: time.Second}
	w.add(0, 0, good)
	w.add(time.Second, 0, good)
	w.takeBack(0, 0)
	w.takeBack(0, 0) // there is none any more
	w.takeBack(5*time.Second, 0)
	if got := w.sum(time.Second, 0); got != (counts{good: 1}) {
		t.Errorf("%v", got)
	}
	w.add(11*time.Second, 0, good) // in the cell of the second step
	w.takeBack(time.Second, 0)
	if got := w.sum(11*time.Second, 0); got != (counts{good: 1}) {
		t.Errorf("%v after what has left the window was taken back", got)
	}
}

func TestWindowTakesBackFromAnyStripe(t *testing.T) {
	w := &window{step: time.Hour}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				w.add(0, 0, good)
			}
		})
	}
	wg.Wait()
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				w.takeBack(0, 0)
			}
		})
	}
	wg.Wait()
	if got := w.sum(0, 0); got != (counts{}) {
		t.Errorf("%v left", got)
	}
}

// A cell that is full stays so, and does not become a later step; the call counts in
// the total.
func TestWindowIsFull(t *testing.T) {
	w := &window{step: time.Hour}
	w.more.Store(new([stripes - 1]stripe))
	for s := range w.all {
		s.cells[0][good].Store(math.MaxUint32)
	}
	w.add(0, 0, good)
	for s := range w.all {
		if v := s.cells[0][good].Load(); v != math.MaxUint32 {
			t.Errorf("%#x", v)
		}
	}
	if n := w.total()[good]; n != stripes*math.MaxUint32+1 {
		t.Errorf("%d since the beginning", n)
	}
}

// TestInflightModel plays calls that begin and end, some of them twice, as copied
// permits do: what is overdue is known exactly as long as there is no copy, and never
// too large.
func TestInflightModel(t *testing.T) {
	const quarter = 250 * time.Millisecond
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		copies := seed%2 == 1
		f := newInflight(4 * quarter)
		var running, ended []time.Duration
		now := time.Duration(0)
		for i := range 500 {
			now += time.Duration(r.Int64N(int64(quarter)))
			switch r.IntN(4) {
			case 0, 1:
				f.begin(now)
				running = append(running, now)
			case 2:
				if len(running) > 0 {
					k := r.IntN(len(running))
					f.end(running[k])
					ended = append(ended, running[k])
					running = slices.Delete(running, k, k+1)
				}
			case 3:
				if copies && len(ended) > 0 {
					f.end(ended[r.IntN(len(ended))])
				}
			}
			want := 0
			for _, began := range running {
				if now/quarter-began/quarter > 4 {
					want++
				}
			}
			if got := f.overdue(now); got > want || got < 0 || !copies && got != want {
				t.Fatalf("seed %d, step %d: %d overdue, want %d; copies: %v", seed, i, got, want, copies)
			}
		}
	}
}

// Trials that nobody reports are forgotten some day.
func TestLostTrialsAreBounded(t *testing.T) {
	cfg := Config{Trials: 2}.withDefaults()
	trials := new(trials)
	for i := range 3 * maxLost {
		now := time.Duration(i) * cfg.TrialLease
		for range 2 {
			if trials.begin(now, &cfg) == 0 {
				t.Fatal("no place after the lease")
			}
		}
		if trials.begin(now, &cfg) != 0 {
			t.Fatal("three trials at once")
		}
	}
	if n := len(trials.list); n != 2*maxLost {
		t.Errorf("%d trials kept", n)
	}
	trials.report(1, Failure, true) // forgotten
	trials.report(trials.last, Success, true)
	if trials.succeeded != 1 || trials.failed != 0 {
		t.Errorf("%d succeeded, %d failed", trials.succeeded, trials.failed)
	}
}

func TestAllCallsMayBeTrials(t *testing.T) {
	b := New(Config{Trials: math.MaxInt})
	if n := b.cfg.TrialsNeeded; n <= 0 || n < math.MaxInt/3*2 {
		t.Errorf("%d needed", n)
	}
	trials := new(trials)
	for range 10 {
		if trials.begin(0, &b.cfg) == 0 {
			t.Error("no place")
		}
	}
}
