package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// fast is how soon a call must fail for its caller to do something better with the time.
const fast = 50 * time.Millisecond

// recovered is the share of successes from which a column counts as recovered.
const recovered = 0.95

// A share is a part of a number of calls.
type share struct{ part, of int }

// rate is NaN for a share of nothing.
func (s share) rate() float64 { return float64(s.part) / float64(s.of) }

// A result is what a column has achieved up to a moment of the run.
type result struct {
	name           string
	calls          int
	answered       share         // successes among the calls issued while an instance was good
	p50, p99, p999 time.Duration // time until those calls ended, well or badly
	load           share         // requests that arrived upstream, by calls, while all instances were down
	failedFast     share         // failures within the time fast, of all failures
	recovery       time.Duration // from the end of that time until recovered; -1: not within the run
}

// measure sums up calls and the arrivals of their requests upstream. The run has come to the moment until.
func measure(name string, s schedule, calls []call, arrivals [][]time.Duration, until time.Duration) result {
	r := result{name: name, calls: len(calls)}
	outage, end := s.span(unavailable)
	var waits []time.Duration
	for _, c := range calls {
		if s.answerable(c.issued) {
			r.answered.of++
			if c.ok {
				r.answered.part++
			}
			waits = append(waits, c.took)
		}
		if !c.ok {
			r.failedFast.of++
			if c.took < fast {
				r.failedFast.part++
			}
		}
		if outage <= c.issued && c.issued < end {
			r.load.of++
		}
	}
	for _, instance := range arrivals {
		r.load.part += within(instance, outage, end)
	}
	slices.Sort(waits)
	r.p50, r.p99, r.p999 = quantile(waits, 0.5), quantile(waits, 0.99), quantile(waits, 0.999)
	r.recovery = recovery(calls, end, until)
	return r
}

// recovery returns how long after end the first second began of which both halves had a success rate of recovered.
func recovery(calls []call, end, until time.Duration) time.Duration {
	const half, step = 500 * time.Millisecond, 50 * time.Millisecond
	sorted := slices.SortedFunc(slices.Values(calls), func(a, b call) int { return cmp.Compare(a.issued, b.issued) })
	for from := end; from+2*half <= until; from += step {
		if good(sorted, from, from+half) && good(sorted, from+half, from+2*half) {
			return from - end
		}
	}
	return -1
}

// good reports whether enough of the calls issued from from until to were successful. calls are in order of issue.
func good(calls []call, from, to time.Duration) bool {
	first, _ := slices.BinarySearchFunc(calls, from, func(c call, t time.Duration) int { return cmp.Compare(c.issued, t) })
	var s share
	for _, c := range calls[first:] {
		if c.issued >= to {
			break
		}
		s.of++
		if c.ok {
			s.part++
		}
	}
	return s.of > 0 && s.rate() >= recovered
}

// within counts the moments from from until to in a sorted list.
func within(moments []time.Duration, from, to time.Duration) int {
	i, _ := slices.BinarySearch(moments, from)
	j, _ := slices.BinarySearch(moments, to)
	return j - i
}

// quantile returns the smallest of the sorted values that at least the share q of them do not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
