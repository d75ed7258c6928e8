package breaker

import "time"

// steps is the number of parts that a window moves in.
const steps = 10

// window counts calls over the last ten steps of time, the current one, which is
// not over yet, included.
type window struct {
	step    time.Duration
	current int64 // number of the newest step
	buckets [steps]bucket
}

type bucket struct{ calls, failures int }

func (w *window) add(now time.Duration, failed bool) {
	w.advance(now)
	b := &w.buckets[w.current%steps]
	b.calls++
	if failed {
		b.failures++
	}
}

func (w *window) sum(now time.Duration) (calls, failures int) {
	w.advance(now)
	for _, b := range w.buckets {
		calls += b.calls
		failures += b.failures
	}
	return calls, failures
}

// advance forgets what is older than the window. A time before the newest step,
// from a caller that read the clock early, counts as that step.
func (w *window) advance(now time.Duration) {
	n := int64(now / w.step)
	for i := max(w.current+1, n-steps+1); i <= n; i++ {
		w.buckets[i%steps] = bucket{}
	}
	w.current = max(w.current, n)
}

func (w *window) reset() { w.buckets = [steps]bucket{} }
