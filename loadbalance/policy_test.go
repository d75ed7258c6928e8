package loadbalance_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

var policies = []loadbalance.Policy{
	loadbalance.PeakEWMA, loadbalance.P2C, loadbalance.LeastLoaded, loadbalance.RoundRobin,
	loadbalance.Weighted, loadbalance.Random, loadbalance.First,
}

// uniform fails unless count is what equal chances give, by Pearson's test: a fair
// policy exceeds the limit once in a hundred thousand runs.
func uniform(t *testing.T, what string, count []int) {
	t.Helper()
	total := 0
	for _, c := range count {
		total += c
	}
	mean, x := float64(total)/float64(len(count)), 0.0
	for _, c := range count {
		x += (float64(c) - mean) * (float64(c) - mean) / mean
	}
	k := float64(len(count) - 1)
	if limit := k + 4.3*math.Sqrt(2*k) + 12; x > limit {
		t.Errorf("%s: chi-square is %.0f, limit %.0f: %v", what, x, limit, count)
	}
}

// Equal endpoints have equal chances, whether calls come one after the other or
// stay; and every subset of the set that is left, as well.
func TestUniform(t *testing.T) {
	for _, policy := range policies {
		if policy == loadbalance.First {
			continue
		}
		for _, n := range []int{2, 3, 10, 17, 100} {
			t.Run(fmt.Sprintf("%v of %d", policy, n), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					b := fixed(n, loadbalance.Config{Policy: policy})
					uniform(t, "one after the other", counts(t, b, n, 60*n))
					stay := make([]int, n)
					for range 50 * n {
						p := picked(t, b)
						stay[p.Value()]++
					}
					uniform(t, "all at once", stay)
					hint := loadbalance.Hint{Exclude: []string{"0", "7"}}
					var left []int
					for i := range n {
						if i != 0 && i != 7 {
							left = append(left, i)
						}
					}
					count := make([]int, len(left))
					for range 60 * len(left) {
						p, err := b.PickWith(t.Context(), hint)
						if err != nil {
							t.Fatal(err)
						}
						count[slices.Index(left, p.Value())]++
					}
					if policy != loadbalance.RoundRobin && policy != loadbalance.Weighted { // whose turns go to the next
						uniform(t, "two excluded", count)
					}
				})
			})
		}
	}
}

// Ties are broken fairly, wherever the equals stand: a scan from a random start that
// takes the first one favours those after a gap.
func TestUniformTies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, policy := range []loadbalance.Policy{loadbalance.LeastLoaded, loadbalance.PeakEWMA} {
			b := fixed(5, loadbalance.Config{Policy: policy})
			for _, key := range []string{"0", "1", "0", "1"} {
				b.PickWith(t.Context(), loadbalance.Hint{Prefer: []string{key}})
			}
			count := counts(t, b, 5, 3000)
			if count[0]+count[1] != 0 {
				t.Errorf("%v: %v: the loaded ones were picked", policy, count)
			}
			uniform(t, fmt.Sprint(policy), count[2:])
		}
	})
}

// The first two of P2C are different: with two endpoints it never takes the busier
// one, which a draw with replacement does once in four times.
func TestP2CDrawsDistinct(t *testing.T) {
	b := fixed(2, loadbalance.Config{Policy: loadbalance.P2C})
	p := picked(t, b)
	for range 1000 {
		if one(t, b, good) == p.Value() {
			t.Fatal("the busier one was picked")
		}
	}
}

// A new endpoint without calls is the least loaded. Appended to a heap without
// sifting up, it was picked 0 times of 10 in another library.
func TestLeastLoadedFindsNewEndpoint(t *testing.T) {
	for _, policy := range []loadbalance.Policy{loadbalance.LeastLoaded, loadbalance.PeakEWMA} {
		inBubble(t, func(t *testing.T) {
			src := newFeed()
			b := loadbalance.New(src, loadbalance.Config{Policy: policy, SlowStart: -1})
			defer b.Close()
			src.set(numbers(15)...)
			for range 150 {
				picked(t, b)
			}
			src.set(numbers(16)...)
			for i := range 10 {
				if p := picked(t, b); p.Value() != 15 {
					t.Errorf("%v: pick %d went to %d", policy, i, p.Value())
				}
			}
		})
	}
}

func TestRoundRobinTakesTurns(t *testing.T) {
	b := fixed(5, loadbalance.Config{Policy: loadbalance.RoundRobin})
	last := one(t, b, good)
	for range 100 {
		next := one(t, b, good)
		if next != (last+1)%5 {
			t.Fatalf("%d after %d", next, last)
		}
		last = next
	}
	starts := map[int]bool{}
	for range 50 {
		b := loadbalance.New(loadbalance.Static(numbers(5)...), loadbalance.Config{Policy: loadbalance.RoundRobin})
		starts[one(t, b, good)] = true
	}
	if len(starts) < 3 {
		t.Errorf("they start at %v only", starts)
	}
}

func TestFirst(t *testing.T) {
	b := fixed(3, loadbalance.Config{Policy: loadbalance.First, EjectAfter: 1, SlowStart: -1})
	for want := range 2 {
		if got := one(t, b, failed); got != want {
			t.Errorf("picked %d, want %d", got, want)
		}
	}
	// One may be ejected, the other one of them is healthy.
	if got := one(t, b, good); got != 1 {
		t.Errorf("picked %d", got)
	}
}

func withWeights(weights ...float64) []endpoint {
	set := numbers(len(weights))
	for i, w := range weights {
		set[i].Weight = w
	}
	return set
}

// Weights are met exactly in each round, in turns as even as can be.
func TestWeighted(t *testing.T) {
	for _, weights := range [][]float64{
		{1, 1, 1}, {5, 1, 1}, {3, 2, 1}, {1, 100}, {0.5, 1.5}, {0.1, 0.2, 0.7}, {1, 2, 0}, {math.Pi, 1, math.E}, {1e-9, 1, 2},
	} {
		set := withWeights(weights...)
		b := loadbalance.New(loadbalance.Static(set...), loadbalance.Config{Policy: loadbalance.Weighted})
		sum := 0.0
		for i, w := range weights {
			if w == 0 {
				weights[i] = 1
			}
			sum += weights[i]
		}
		const calls = 21_000
		last, gap := make([]int, len(weights)), make([]int, len(weights))
		count := make([]int, len(weights))
		for n := range calls {
			i := one(t, b, good)
			if count[i] > 0 {
				gap[i] = max(gap[i], n-last[i])
			}
			last[i] = n
			count[i]++
		}
		for i, w := range weights {
			if share, want := float64(count[i])/calls, w/sum; math.Abs(share-want) > 0.002 {
				t.Errorf("%v: the share of %d is %.4f, want %.4f", weights, i, share, want)
			}
			if most := 2*sum/w + 1; float64(gap[i]) > most {
				t.Errorf("%v: %d waited for %d turns, at most %.0f are even", weights, i, gap[i], most)
			}
		}
	}
}

// Weights that are far apart hold as well, down to one in ten thousand and below.
func TestWeightedCanary(t *testing.T) {
	for name, tt := range map[string]struct {
		weights []float64
		light   int // how many of them, at the end
	}{
		"1 in 10,000":          {[]float64{10_000, 1}, 1},
		"0.001 among 99":       {append(slices.Repeat([]float64{1}, 99), 0.001), 1},
		"two of different":     {[]float64{5000, 5000, 1, 0.5}, 2},
		"1 in 100,000":         {[]float64{1e5, 1}, 1},
		"three steps of scale": {[]float64{1e6, 1e3, 1}, 2},
	} {
		b := loadbalance.New(loadbalance.Static(withWeights(tt.weights...)...), loadbalance.Config{Policy: loadbalance.Weighted})
		n, sum := len(tt.weights), 0.0
		for _, w := range tt.weights {
			sum += w
		}
		const calls = 100_000
		count := counts(t, b, n, calls)
		for i := n - tt.light; i < n; i++ {
			want := calls * tt.weights[i] / sum
			if got := float64(count[i]); math.Abs(got-want) > max(2, 0.05*want) {
				t.Errorf("%s: %d has %.0f calls of %d, want %.1f", name, i, got, calls, want)
			}
		}
	}
}

// The turn of one that is out goes to all others alike, not to the one that follows.
func TestWeightedWithoutOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(4, loadbalance.Config{Policy: loadbalance.Weighted, EjectAfter: 1})
		at(t, b, "1", failed)
		count := counts(t, b, 4, 9000)
		if count[1] != 0 {
			t.Errorf("%v", count)
		}
		uniform(t, "the other three", []int{count[0], count[2], count[3]})
	})
}

// The load policies heed weights too: calls that stay spread by them.
func TestWeightedLoad(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, policy := range []loadbalance.Policy{loadbalance.LeastLoaded, loadbalance.PeakEWMA, loadbalance.P2C} {
			b := loadbalance.New(loadbalance.Static(withWeights(4, 2, 1)...), loadbalance.Config{Policy: policy})
			for range 7000 {
				picked(t, b)
			}
			for key, want := range map[string]int{"0": 4000, "1": 2000, "2": 1000} {
				if got := stats(t, b, key).InFlight; got < want-200 || got > want+200 {
					t.Errorf("%v: %s has %d calls, want about %d", policy, key, got, want)
				}
			}
		}
	})
}

// A policy that does as it likes does no harm.
type stubborn struct{ builds *int }

func (s stubborn) Build(v loadbalance.View) loadbalance.Policy { *s.builds++; return s }
func (s stubborn) Next(v loadbalance.View) int                 { return 0 }

var absurd = loadbalance.PolicyFunc(func(v loadbalance.View) int { return -v.Len() })

func TestCustomPolicy(t *testing.T) {
	builds := 0
	b := fixed(3, loadbalance.Config{Policy: stubborn{&builds}})
	if got := one(t, b, good); got != 0 || builds != 1 {
		t.Errorf("picked %d, built %d times", got, builds)
	}
	p, err := b.PickWith(t.Context(), loadbalance.Hint{Exclude: []string{"0"}})
	if err != nil || p.Value() == 0 {
		t.Errorf("picked %d, %v", p.Value(), err)
	}
	counts(t, fixed(3, loadbalance.Config{Policy: absurd}), 3, 10)
}

// A policy sees what is known, by index.
func TestView(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var v loadbalance.View
		set := withWeights(1, 2)
		b := loadbalance.New(loadbalance.Static(set...), loadbalance.Config{Policy: loadbalance.PolicyFunc(func(w loadbalance.View) int { v = w; return 1 })})
		p := picked(t, b)
		if v.Len() != 2 || v.Key(1) != "1" || v.Weight(1) != 2 || v.InFlight(1) != 1 || v.Latency(1) != 0 || v.Skip(1) {
			t.Errorf("%d %s %v %d %v", v.Len(), v.Key(1), v.Weight(1), v.InFlight(1), v.Latency(1))
		}
		time.Sleep(100 * time.Millisecond)
		p.Done(good)
		picked(t, b)
		if v.Latency(1).Round(time.Millisecond) != 100*time.Millisecond || v.Latency(0).Round(time.Millisecond) != 100*time.Millisecond {
			t.Errorf("%v, and %v for the one that is not known", v.Latency(1), v.Latency(0))
		}
	})
}
