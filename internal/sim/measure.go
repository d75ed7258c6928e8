package sim

import (
	"math"
	"slices"
	"time"
)

// Samples are all values of a measured time, in any order.
type Samples []time.Duration

// Quantile returns the smallest sample that at least the share q of all samples does not exceed (0.5: the median),
// or 0 without samples. It sorts the samples.
func (s Samples) Quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	if !slices.IsSorted(s) {
		slices.Sort(s)
	}
	rank := int(math.Ceil(q*float64(len(s)) - 1e-9)) // 0.07*100 is a little more than 7
	return s[min(max(rank, 1), len(s))-1]
}

// Mean returns the mean of the samples, or 0 without samples.
func (s Samples) Mean() time.Duration {
	sum := 0.0
	for _, d := range s {
		sum += float64(d)
	}
	return time.Duration(sum / float64(max(len(s), 1)))
}

// Bins count what happens in each second of a simulation.
type Bins []int

// Add counts one event at that time.
func (b *Bins) Add(at time.Duration) {
	n := int(at / time.Second)
	*b = append(*b, make(Bins, max(0, n+1-len(*b)))...)
	(*b)[n]++
}

// Sum counts the events in the seconds that begin in [from, to).
func (b Bins) Sum(from, to time.Duration) (sum int) {
	for n, count := range b {
		if at := time.Duration(n) * time.Second; from <= at && at < to {
			sum += count
		}
	}
	return sum
}

// Recovery returns how long it takes, after the end of a fault, until k successive seconds begin in each of which at
// least the given share of the arrivals succeeds. A success may be counted where its call arrived, for what callers got,
// or where it ended, for what the system did. It is false when that does not happen before the arrivals end.
func Recovery(arrivals, successes Bins, after time.Duration, k int, share float64) (time.Duration, bool) {
	good := 0
	for n := int((after + time.Second - 1) / time.Second); n < len(arrivals); n++ {
		ok := 0
		if n < len(successes) {
			ok = successes[n]
		}
		if good++; float64(ok) < share*float64(arrivals[n]) {
			good = 0
		}
		if good == k {
			return time.Duration(n+1-k)*time.Second - after, true
		}
	}
	return 0, false
}
