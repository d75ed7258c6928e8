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

func TestJitters(t *testing.T) {
	const base, limit = 100 * time.Millisecond, 10 * time.Second
	for _, tt := range []struct {
		jitter    Jitter
		low, high time.Duration // of the fourth delay, 800 ms before chance
		mean      time.Duration
	}{
		{NoJitter, 800 * time.Millisecond, 800 * time.Millisecond, 800 * time.Millisecond},
		{FullJitter, 0, 800 * time.Millisecond, 400 * time.Millisecond},
		{EqualJitter, 400 * time.Millisecond, 800 * time.Millisecond, 600 * time.Millisecond},
	} {
		const n = 20_000
		var sum time.Duration
		least, most := time.Hour, time.Duration(0)
		for range n {
			b := Exponential(base, limit, tt.jitter)()
			b.Reset()
			for range 3 {
				b.NextBackOff()
			}
			d := b.NextBackOff()
			sum, least, most = sum+d, min(least, d), max(most, d)
		}
		mean := sum / n
		if least < tt.low || most > tt.high || mean < tt.mean*97/100 || mean > tt.mean*103/100 {
			t.Errorf("jitter %v: delays from %v to %v, mean %v; want %v to %v, mean %v", tt.jitter, least, most, mean, tt.low, tt.high, tt.mean)
		}
		if spread := tt.high - tt.low; least > tt.low+spread/50 || most < tt.high-spread/50 {
			t.Errorf("jitter %v: delays only from %v to %v", tt.jitter, least, most)
		}
	}
}

func TestConstant(t *testing.T) {
	b := Constant(time.Second)()
	b.Reset()
	if d := b.NextBackOff(); d != time.Second || b.NextBackOff() != d {
		t.Errorf("delay %v", d)
	}
}

// Delays stay within their bounds for any number of attempts and any durations.
func FuzzExponential(f *testing.F) {
	f.Add(int64(100*time.Millisecond), int64(10*time.Second), uint16(40), uint8(0))
	f.Add(int64(1), int64(1<<63-1), uint16(100), uint8(1))
	f.Add(int64(1<<62), int64(1<<62+1), uint16(3), uint8(2))
	f.Add(int64(1<<62), int64(1<<63-1), uint16(10_000), uint8(0))
	f.Add(int64(5), int64(3), uint16(3), uint8(2))
	f.Fuzz(func(t *testing.T, base, limit int64, attempts uint16, jitter uint8) {
		j := Jitter(jitter)
		if base < 0 || limit < 0 || j > EqualJitter {
			return
		}
		b := Exponential(time.Duration(base), time.Duration(limit), j)()
		b.Reset()
		high := float64(base) // doubles do not overflow
		var last time.Duration
		for i := range attempts {
			d := b.NextBackOff()
			top := min(high, float64(limit))
			low := time.Duration(0)
			switch j {
			case NoJitter:
				low = last
			case EqualJitter:
				low = time.Duration(top/2*0.999) - 1
			}
			if d < low || float64(d) > top || d > time.Duration(limit) {
				t.Fatalf("delay %d is %v, want %v to %v", i, d, low, time.Duration(top))
			}
			last = d
			high *= 2
		}
	})
}

func TestScheduleErrors(t *testing.T) {
	for name, f := range map[string]func(){
		"base":     func() { Exponential(-1, 1, FullJitter) },
		"max":      func() { Exponential(1, -1, FullJitter) },
		"constant": func() { Constant(-1) },
		"jitter":   func() { Exponential(1, 1, 9) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
