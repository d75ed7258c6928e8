package retry

import (
	"testing"
	"time"
)

func TestExponential(t *testing.T) {
	b := Exponential(100*time.Millisecond, time.Second, NoJitter)()
	for range 2 {
		b.Reset()
		for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			if got := b.NextBackOff(); got != want*time.Millisecond {
				t.Errorf("delay %d is %v, want %v", i, got, want*time.Millisecond)
			}
		}
	}
}

func TestFullJitterSpreads(t *testing.T) {
	const n = 10_000
	var sum, least, most time.Duration = 0, time.Hour, 0
	for range n {
		b := Exponential(time.Second, time.Minute, FullJitter)()
		b.Reset()
		d := b.NextBackOff()
		sum, least, most = sum+d, min(least, d), max(most, d)
	}
	if mean := sum / n; mean < 480*time.Millisecond || mean > 520*time.Millisecond || least > 10*time.Millisecond || most < 990*time.Millisecond || most > time.Second {
		t.Errorf("delays from %v to %v, mean %v; want evenly 0 to 1s", least, most, mean)
	}
}

func FuzzExponential(f *testing.F) {
	f.Add(int64(100*time.Millisecond), int64(10*time.Second), uint16(40), false)
	f.Add(int64(1), int64(1<<63-1), uint16(100), true)
	f.Add(int64(1<<62), int64(1<<62+1), uint16(3), true)
	f.Fuzz(func(t *testing.T, base, limit int64, attempts uint16, jitter bool) {
		if base < 0 || limit < 0 {
			return
		}
		j := NoJitter
		if jitter {
			j = FullJitter
		}
		b := Exponential(time.Duration(base), time.Duration(limit), j)()
		b.Reset()
		want := float64(base) // doubles do not overflow
		var last time.Duration
		for i := range attempts {
			d := b.NextBackOff()
			bound := min(want, float64(limit))
			if d < 0 || float64(d) > bound || d > time.Duration(limit) {
				t.Fatalf("delay %d is %v, want 0 to %v", i, d, time.Duration(bound))
			}
			if !jitter && d < last {
				t.Fatalf("delay %d is %v after %v", i, d, last)
			}
			last = d
			want *= 2
		}
	})
}

func TestScheduleErrors(t *testing.T) {
	for name, f := range map[string]func(){
		"base":     func() { Exponential(-1, 1, FullJitter) },
		"max":      func() { Exponential(1, -1, FullJitter) },
		"constant": func() { Constant(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic for a negative delay", name)
				}
			}()
			f()
		}()
	}
}
