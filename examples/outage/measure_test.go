package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		sorted []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{hundred[:1], 0.999, 1},
		{hundred[:2], 0.5, 1},
		{hundred[:3], 0.5, 2},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 0.999, 100},
		{hundred, 0, 1},
		{hundred, 1, 100},
	} {
		if got := quantile(c.sorted, c.q); got != c.want {
			t.Errorf("quantile %v of %d values is %d, want %d", c.q, len(c.sorted), got, c.want)
		}
	}
}

func TestWithin(t *testing.T) {
	moments := []time.Duration{1, 2, 2, 5}
	for _, c := range []struct {
		from, to time.Duration
		want     int
	}{{0, 9, 4}, {2, 5, 2}, {2, 2, 0}, {5, 6, 1}, {6, 9, 0}} {
		if got := within(moments, c.from, c.to); got != c.want {
			t.Errorf("from %d to %d: %d, want %d", c.from, c.to, got, c.want)
		}
	}
}

// every makes calls in steps from from until to.
func every(step, from, to time.Duration, ok bool) (calls []call) {
	for at := from; at < to; at += step {
		calls = append(calls, call{issued: at, took: time.Millisecond, ok: ok})
	}
	return calls
}

func TestRecovery(t *testing.T) {
	const step, s = 10 * time.Millisecond, time.Second
	twentieth := every(step/2, 0, 10*s, true) // 5 % fail
	for i := range twentieth {
		twentieth[i].ok = i%20 != 0
	}
	tenth := every(step, 0, 10*s, true)
	for i := range tenth {
		tenth[i].ok = i%10 != 0
	}
	for _, c := range []struct {
		what  string
		calls []call
		until time.Duration
		want  time.Duration
	}{
		{"at once", every(step, 0, 10*s, true), 10 * s, 0},
		{"never", every(step, 0, 10*s, false), 10 * s, -1},
		{"no calls", nil, 10 * s, -1},
		{"after two seconds", slices.Concat(every(step, 0, 7*s, false), every(step, 7*s, 10*s, true)), 10 * s, 2 * s},
		{"in another order", slices.Concat(every(step, 7*s, 10*s, true), every(step, 0, 7*s, false)), 10 * s, 2 * s},
		{"only for a moment", slices.Concat(every(step, 5*s, 5700*time.Millisecond, true), every(step, 5700*time.Millisecond, 10*s, false)), 10 * s, -1},
		{"19 of 20 are enough", twentieth, 10 * s, 0},
		{"9 of 10 are not", tenth, 10 * s, -1},
		{"too late to tell", slices.Concat(every(step, 0, 7*s, false), every(step, 7*s, 10*s, true)), 7500 * time.Millisecond, -1},
	} {
		if got := recovery(c.calls, 5*s, c.until); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestMeasure(t *testing.T) {
	s := schedule{total: 100 * time.Second, rate: 1}
	outage, end := s.span(unavailable)
	calls := []call{
		{issued: 0, took: 10 * time.Millisecond, ok: true},
		{issued: 1, took: 20 * time.Millisecond, ok: true},
		{issued: 2, took: time.Second, ok: false},
		{issued: outage - 1, took: 49 * time.Millisecond, ok: false},
		{issued: outage, took: 50 * time.Millisecond, ok: false}, // not answerable
		{issued: end - 1, took: time.Millisecond, ok: false},
		{issued: end, took: time.Millisecond, ok: true}, // weak: not answerable either
	}
	arrivals := [][]time.Duration{{outage - 1, outage, outage + 1}, {end - 1, end}}
	r := measure("x", s, calls, arrivals, s.total)
	if r.name != "x" || r.calls != 7 || r.answered != (share{2, 4}) || r.load != (share{3, 2}) || r.failedFast != (share{2, 4}) {
		t.Errorf("%+v", r)
	}
	if r.p50 != 20*time.Millisecond || r.p99 != time.Second || r.p999 != time.Second {
		t.Errorf("%+v", r)
	}
}

func TestMeasureNothing(t *testing.T) {
	r := measure("x", schedule{time.Minute, 1}, nil, nil, 0)
	if !math.IsNaN(r.answered.rate()) || !math.IsNaN(r.load.rate()) || r.recovery >= 0 || r.p50 != 0 {
		t.Errorf("%+v", r)
	}
	if percent(r.answered, 1) != "-" || times(r.load) != "-" || back(r) != "-" {
		t.Error("numbers for nothing")
	}
}

// After the last call is issued there is nothing to recover with.
func TestResultsEndWithTheLastCall(t *testing.T) {
	e := staged()
	e.end = e.schedule.total + time.Second
	for _, c := range e.columns {
		c.calls = every(10*time.Millisecond, 0, e.schedule.total, false)
		for i := range c.calls[len(c.calls)-70:] {
			c.calls[len(c.calls)-70+i].ok = true
		}
	}
	for _, r := range e.results() {
		if r.recovery >= 0 {
			t.Errorf("%s recovers after %v, in the last 0.7 s of %v", r.name, r.recovery, e.schedule.total)
		}
	}
}
