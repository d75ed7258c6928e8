package main

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	for _, total := range []time.Duration{shortest, 15 * time.Second, usual, time.Minute, time.Hour} {
		t.Run(total.String(), func(t *testing.T) { testSchedule(t, schedule{total: total, rate: 100}) })
	}
}

func testSchedule(t *testing.T, s schedule) {
	last := map[byte]time.Duration{}
	for _, p := range phases {
		from, to := s.at(p.from), s.at(p.to)
		if from <= 0 || from >= to || to >= s.total {
			t.Errorf("phase %v lasts from %v to %v, want a healthy start and end", p.fault, from, to)
		}
		for i := range len(p.instances) {
			if from < last[p.instances[i]] {
				t.Errorf("two phases of %c overlap at %v", p.instances[i], from)
			}
			last[p.instances[i]] = to
		}
	}
	if !s.answerable(0) || s.describe(0) != "all good" {
		t.Error("not healthy at the start")
	}

	// How long how many instances are good, in steps of 10 ms.
	var lasts [len(instances) + 1]time.Duration
	for at := time.Duration(0); at < s.total; at += 10 * time.Millisecond {
		n := 0
		for i := range len(instances) {
			if f, _ := s.fault(instances[i], at); f == none {
				n++
			}
		}
		lasts[n] += 10 * time.Millisecond
		if s.answerable(at) != (n > 0) {
			t.Fatalf("at %v: answerable is %v, but %d instances are good", at, s.answerable(at), n)
		}
	}
	for n, d := range lasts {
		if n < len(instances) && d < 800*time.Millisecond {
			t.Errorf("%d instances are good for %v of %v", n, d, s.total)
		}
	}

	outage, end := s.span(unavailable)
	weak, back := s.span(reduced)
	if end != weak {
		t.Errorf("the outage ends at %v, but servers are weak from %v on", end, weak)
	}
	for _, at := range []time.Duration{outage, end - 1, weak, back - 1} {
		if s.answerable(at) {
			t.Errorf("answerable at %v", at)
		}
	}
	if !s.answerable(outage-1) || !s.answerable(back) {
		t.Error("not healthy before the outage or at the end")
	}
}

func TestCapacity(t *testing.T) {
	s := schedule{total: usual, rate: 100}
	weak, back := s.span(reduced)
	for _, c := range []struct {
		at   time.Duration
		want float64
	}{
		{0, 150},
		{weak, 2.5},
		{(weak + back) / 2, 32.5},
		{back, 150},
	} {
		if got := s.capacity('A', c.at); got < c.want-0.1 || got > c.want+0.1 {
			t.Errorf("capacity at %v is %v, want %v", c.at, got, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	s := schedule{total: usual, rate: 100}
	outage, _ := s.span(unavailable)
	for at, want := range map[time.Duration]string{
		0:                "all good",
		12 * time.Second: "A slow, B 503 bursts, C resets",
		outage:           "all 503",
	} {
		if got := s.describe(at); got != want {
			t.Errorf("at %v: %q, want %q", at, got, want)
		}
	}
}

func TestNoScheduleIsHealthy(t *testing.T) {
	for _, at := range []time.Duration{0, time.Second, time.Hour} {
		if !(schedule{}).answerable(at) {
			t.Errorf("not answerable at %v", at)
		}
	}
}
