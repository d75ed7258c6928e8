package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEventOrder(t *testing.T) {
	var mu sync.Mutex // timers run on goroutines of their own
	var got []string
	Run(t, 1, func(s *Sim) {
		note := func(what string) func() {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%s@%v", what, s.Now()))
			}
		}
		s.At(2*time.Second, note("a"))
		s.At(time.Second, note("b"))
		s.At(2*time.Second, note("c"))
		time.AfterFunc(2*time.Second, note("timer")) // before the events of its instant
		s.At(time.Second, func() {
			s.After(0, note("d"))
			s.At(0, note("past"))
			s.After(time.Second, note("e"))
			s.After(-time.Hour, note("negative"))
			time.AfterFunc(500*time.Millisecond, note("timer of an event"))
		})
		s.At(time.Second, note("f"))
	})
	want := "b@1s f@1s d@1s past@1s negative@1s timer of an event@1.5s timer@2s a@2s c@2s e@2s"
	if got := strings.Join(got, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestProcesses(t *testing.T) {
	var got []string
	Run(t, 1, func(s *Sim) {
		note := func(what string) { got = append(got, fmt.Sprintf("%s@%v", what, s.Now())) }
		s.Go(func(ctx context.Context) {
			note("a")
			if err := s.Sleep(ctx, time.Second); err != nil {
				t.Error(err)
			}
			note("a")
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			if err := s.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			note("late a")
			if err := s.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			note("late a")
		})
		s.Go(func(ctx context.Context) {
			note("b")
			time.Sleep(2 * time.Second) // as a policy would
			s.Sleep(ctx, 0)
			note("b")
			ctx, cancel := context.WithCancel(ctx)
			s.After(time.Second, cancel)
			if err := s.Sleep(ctx, 10*time.Second); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			note("cancelled b")
			s.Go(func(context.Context) { note("c") })
			s.After(0, func() { note("event") })
			s.Sleep(context.WithoutCancel(ctx), 0)
			note("b")
		})
		s.At(3*time.Second, func() { note("event") })
		s.At(4*time.Second, func() { note("event") })
	})
	want := "a@0s b@0s a@1s b@2s event@3s cancelled b@3s event@3s b@3s c@3s event@4s late a@4s late a@4s"
	if got := strings.Join(got, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSleepOutsideProcess(t *testing.T) {
	Run(t, 1, func(s *Sim) {
		defer func() {
			if r, _ := recover().(string); !strings.HasPrefix(r, "sim: ") {
				t.Errorf("panic %q", r)
			}
		}()
		s.Sleep(t.Context(), 0)
	})
}

// pool is a policy that blocks: it hands out places, and its waiters look again after a wait of their own.
type pool struct{ free int }

func (p *pool) do(ctx context.Context, s *Sim, op func(context.Context) error) error {
	for s.Sleep(ctx, 0) == nil {
		if p.free > 0 {
			p.free--
			defer func() { p.free++ }()
			return op(ctx)
		}
		select {
		case <-time.After(50 * time.Millisecond): // many wait for the same instants
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// busy plays processes and events that get in each other's way, and returns all that can be seen of it.
func busy(t *testing.T, seed uint64) string {
	var (
		table Table
		trace strings.Builder
		waits Samples
		done  Bins
	)
	table.Row("second", "done", "waited")
	Run(t, seed, func(s *Sim) {
		p := &pool{free: 2}
		arrive := func() {
			s.Go(func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
				defer cancel()
				start := s.Now()
				err := p.do(ctx, s, func(ctx context.Context) error { return s.Sleep(ctx, s.Rand.Exp(100*time.Millisecond)) })
				s.Sleep(ctx, 0)
				waits = append(waits, s.Now()-start)
				done.Add(s.Now())
				fmt.Fprintln(&trace, s.Now(), start, err, s.Rand.Uint64()) // the order of the processes, too
			})
		}
		s.Paced(0, 4*time.Second, 20, arrive)
		s.Paced(0, 4*time.Second, 10, arrive)
		s.Poisson(0, 4*time.Second, 10, arrive)
	})
	for second, n := range done {
		table.Row(second, n, waits.Quantile(float64(second)/5))
	}
	return table.String() + table.Markdown() + trace.String()
}

func TestSameSeedSameTable(t *testing.T) {
	want := busy(t, 1)
	if !strings.Contains(want, context.DeadlineExceeded.Error()) || !strings.Contains(want, "<nil>") {
		t.Error("nothing to see:\n", want)
	}
	for range 20 {
		if got := busy(t, 1); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
	if busy(t, 2) == want {
		t.Error("the seed makes no difference")
	}
}

func TestArrivals(t *testing.T) {
	const from, to, rate = 10 * time.Second, 1010 * time.Second, 40
	count := func(load func(s *Sim, arrive func())) (times Samples) {
		Run(t, 3, func(s *Sim) { load(s, func() { times = append(times, s.Now()) }) })
		return times
	}
	paced := count(func(s *Sim, arrive func()) { s.Paced(from, to, rate, arrive) })
	if len(paced) != 40_000 || paced[0] != from || paced[1]-paced[0] != 25*time.Millisecond || paced[39_999] != to-25*time.Millisecond {
		t.Errorf("paced: %d from %v to %v", len(paced), paced[0], paced[len(paced)-1])
	}
	thirds := count(func(s *Sim, arrive func()) { s.Paced(0, 1000*time.Second, 3, arrive) })
	if len(thirds) != 3000 || thirds[2997] != 999*time.Second {
		t.Errorf("paced: %d, the last second begins at %v", len(thirds), thirds[2997])
	}

	poisson := count(func(s *Sim, arrive func()) { s.Poisson(from, to, rate, arrive) })
	if n := float64(len(poisson)); math.Abs(n-40_000) > 4*200 { // the standard deviation is the square root
		t.Errorf("Poisson: %v arrivals", n)
	}
	if poisson[0] <= from || poisson[len(poisson)-1] >= to {
		t.Errorf("Poisson: from %v to %v", poisson[0], poisson[len(poisson)-1])
	}
	bins, square := Bins{}, 0.0
	for _, at := range poisson {
		bins.Add(at)
	}
	for _, n := range bins[10:] {
		square += float64(n-rate) * float64(n-rate) / 1000
	}
	if square < 0.85*rate || square > 1.15*rate { // variance and mean are one
		t.Errorf("Poisson: variance %v in seconds of mean %v", square, rate)
	}

	// What the system does with its randomness does not change the arrivals.
	var again Samples
	Run(t, 3, func(s *Sim) {
		s.Poisson(from, to, rate, func() {
			again = append(again, s.Now())
			s.Rand.Exp(time.Second)
		})
	})
	if !slices.Equal(poisson, again) {
		t.Error("the arrivals depend on the system's randomness")
	}
}

func TestRand(t *testing.T) {
	r := NewRand(1, 0)
	var exp, normal Samples
	for range 100_000 {
		exp = append(exp, r.Exp(time.Second))
		normal = append(normal, r.Normal(10*time.Second, 2*time.Second))
	}
	within(t, "exponential mean", exp.Mean().Seconds(), 1, 0.02)
	within(t, "exponential p90", exp.Quantile(0.9).Seconds(), math.Log(10), 0.02)
	within(t, "normal mean", normal.Mean().Seconds(), 10, 0.005)
	within(t, "normal p84.13", normal.Quantile(0.8413).Seconds(), 12, 0.005)
	for range 1000 {
		if d := r.Normal(0, time.Second); d < 0 {
			t.Fatal(d)
		}
	}
	if NewRand(1, 0).Uint64() == NewRand(1, 1).Uint64() || NewRand(1, 0).Uint64() == NewRand(2, 0).Uint64() {
		t.Error("two sources are alike")
	}
}

// within checks a measured value against theory.
func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got/want-1) > tolerance {
		t.Errorf("%s: %.4f, want %.4f within %v %%", what, got, want, 100*tolerance)
	}
}

func TestQuantile(t *testing.T) {
	if got := (Samples)(nil).Quantile(0.5) + (Samples)(nil).Mean(); got != 0 {
		t.Error(got)
	}
	var s Samples
	for n := range 100 {
		s = append(s, time.Duration(100-n))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.001: 1, 0.01: 1, 0.011: 2, 0.07: 7, 0.29: 29, 0.5: 50, 0.57: 57, 0.99: 99, 0.991: 100, 1: 100} {
		if got := s.Quantile(q); got != want {
			t.Errorf("quantile %v: %d, want %d", q, got, want)
		}
	}
	if got := s.Mean(); got != 50 {
		t.Error(got)
	}
}

func TestRecovery(t *testing.T) {
	arrivals := Bins{10, 20, 20, 20, 20, 20, 20, 20}
	for _, test := range []struct {
		successes Bins
		after     time.Duration
		k         int
		want      time.Duration
		ok        bool
	}{
		{Bins{10, 0, 0, 19, 18, 19, 19, 19}, time.Second, 3, 4 * time.Second, true},
		{Bins{10, 0, 0, 19, 18, 19, 19, 19}, time.Second, 1, 2 * time.Second, true},
		{Bins{10, 0, 0, 19, 18, 19, 19, 19}, 1500 * time.Millisecond, 1, 1500 * time.Millisecond, true},
		{Bins{10, 20, 20, 20}, 1500 * time.Millisecond, 1, 500 * time.Millisecond, true},
		{Bins{10, 0, 0, 19, 18, 19, 19, 19}, time.Second, 4, 0, false},
		{Bins{10, 0, 0, 19, 18, 19, 19}, time.Second, 3, 0, false},
		{Bins{0, 20, 20, 20}, time.Second, 3, 0, true},
		{Bins{10, 20, 20, 0, 20, 20, 25, 20}, 2 * time.Second, 2, 2 * time.Second, true},
		{nil, 0, 1, 0, false},
	} {
		if got, ok := Recovery(arrivals, test.successes, test.after, test.k, 0.95); got != test.want || ok != test.ok {
			t.Errorf("%+v: %v, %v", test, got, ok)
		}
	}
	var b Bins
	for _, at := range []time.Duration{0, 999 * time.Millisecond, time.Second, 3 * time.Second} {
		b.Add(at)
	}
	if !slices.Equal(b, Bins{2, 1, 0, 1}) || b.Sum(0, 2*time.Second) != 3 || b.Sum(time.Second, time.Minute) != 2 {
		t.Error(b)
	}
}

func TestTable(t *testing.T) {
	var table Table
	table.Row("policy", "p50", "größte", "n")
	table.Row("none", 1500*time.Microsecond, 0.12345, 7)
	table.Row("retry and budget", time.Minute, "never")
	want := strings.Join([]string{
		"policy             p50  größte    n",
		"none               2ms   0.123    7",
		"retry and budget  1m0s   never",
		"",
	}, "\n")
	if got := table.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = strings.Join([]string{
		"| policy           |  p50 | größte |   n |",
		"| ---------------- | ---: | -----: | --: |",
		"| none             |  2ms |  0.123 |   7 |",
		"| retry and budget | 1m0s |  never |     |",
		"",
	}, "\n")
	if got := table.Markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFull(t *testing.T) {
	defer flag.Set("full", flag.Lookup("full").Value.String())
	t.Setenv("BELAY_FULL", "")
	for _, on := range []bool{false, true} {
		flag.Set("full", fmt.Sprint(on))
		if Full() != on {
			t.Errorf("-full=%v: %v", on, Full())
		}
	}
	flag.Set("full", "false")
	t.Setenv("BELAY_FULL", "1")
	if !Full() {
		t.Error("BELAY_FULL has no effect")
	}
}
