package loadbalance_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// homes returns where the hashes from 1 to n go.
func homes(t *testing.T, b *balancer, n int) []int {
	t.Helper()
	home := make([]int, n)
	for i := range home {
		p, err := b.PickWith(t.Context(), loadbalance.Hint{Hash: loadbalance.HashUint64(uint64(i))})
		if err != nil {
			t.Fatal(err)
		}
		home[i] = p.Value()
		p.Done(good)
	}
	return home
}

// Of a table, only the calls move whose home is not well, to all others alike; and few
// when the set changes.
func TestTablePolicy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const calls = 10_000
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{Policy: maglev{size: 1009}, EjectAfter: 1, SlowStart: -1})
		defer b.Close()
		src.set(numbers(10)...)
		before := homes(t, b, calls)
		count := make([]int, 10)
		for _, i := range before {
			count[i]++
		}
		for i, n := range count {
			if n < 850 || n > 1150 {
				t.Errorf("%d has %d of the calls", i, n)
			}
		}

		at(t, b, "3", failed)
		moved := make([]int, 10)
		for k, i := range homes(t, b, calls) {
			switch {
			case before[k] != 3 && i != before[k]:
				t.Fatalf("%d moved from %d to %d", k, before[k], i)
			case before[k] == 3:
				moved[i]++
			}
		}
		for i, n := range moved {
			if i != 3 && (n < count[3]/18 || n > count[3]/5) || i == 3 && n > 0 {
				t.Errorf("%d took over %d calls of %d", i, n, count[3])
			}
		}

		time.Sleep(5 * time.Second)
		synctest.Wait()
		homes(t, b, 100) // among them the trial
		inState(t, b, "3", loadbalance.Healthy, "")
		src.set(numbers(11)...)
		elsewhere := 0
		for k, i := range homes(t, b, calls) {
			if before[k] != i && i != 10 {
				elsewhere++
			}
		}
		if elsewhere > calls/20 {
			t.Errorf("%d of %d calls moved without need", elsewhere, calls)
		}
	})
}

// A Builder is asked once for each set that is new to it, with nothing to be skipped,
// and never for a change of health. Picks go on with the old set meanwhile.
func TestBuild(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		built := &builds{pick: func(v loadbalance.View) int { return v.At(0) }}
		b := loadbalance.New(src, loadbalance.Config{Policy: built, EjectAfter: 1})
		defer b.Close()
		src.set(numbers(4)...)
		at(t, b, "2", failed)
		src.set(numbers(4)...)
		src.set(append(numbers(4), endpoint{Key: "4", Value: 4})...)
		set := numbers(4)
		set[0].Weight = 2
		src.set(set...)
		if want := []int{4, 5, 4}; len(built.sizes) != 3 || built.sizes[0] != want[0] || built.sizes[1] != want[1] || built.sizes[2] != want[2] {
			t.Errorf("built for %v, want %v", built.sizes, want)
		}
		built.during = func() { // in the middle of a set that is not there yet
			if p := picked(t, b); p.Value() != 0 || len(b.Stats().Endpoints) != 4 {
				t.Errorf("picked %d of %d", p.Value(), len(b.Stats().Endpoints))
			}
		}
		src.set(numbers(7)...)
		built.during = nil
		built.none = true
		src.set(numbers(3)...)
		if err := b.Stats().Err; err == nil || len(b.Stats().Endpoints) != 7 {
			t.Errorf("Build has returned nil: %v, %d endpoints", err, len(b.Stats().Endpoints))
		}
		picked(t, b)
	})
}

type builds struct {
	pick   func(loadbalance.View) int
	sizes  []int
	during func()
	none   bool
}

func (b *builds) Next(v loadbalance.View) int { return b.pick(v) }

func (b *builds) Build(v loadbalance.View) loadbalance.Policy {
	b.sizes = append(b.sizes, v.Len())
	for i := range v.Len() {
		if v.Skip(i) {
			panic("skip " + strconv.Itoa(i))
		}
	}
	if b.during != nil {
		b.during()
	}
	if b.none {
		return nil
	}
	return b
}

// Hash is stated: these values never change.
func TestHash(t *testing.T) {
	for s, want := range map[string]uint64{"": 0xc3817c016ba4ff30, "a": 0x5f29c2aadd9b8527, "loadbalance": 0xabcaaadefc32c922} {
		if got := loadbalance.Hash(s); got != want {
			t.Errorf("%q: %#x, want %#x", s, got, want)
		}
	}
	if loadbalance.HashUint64(0) != 0xe220a8397b1dcdaf || // the first number of SplitMix64 from the seed 0
		loadbalance.HashUint64(0x61c8864680b583eb) != 1 {
		t.Error("HashUint64 is not what it says")
	}
	if n := testing.AllocsPerRun(100, func() { loadbalance.Hash("some key of a user") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	counts := make([]int, 16)
	for i := range 16_000 {
		counts[loadbalance.Hash("user-"+strconv.Itoa(i))%16]++
	}
	uniform(t, "hashes", counts)
}

// All policies of this package can be asked by one's own.
func TestPolicyOfPolicies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, policy := range policies {
			b := fixed(20, loadbalance.Config{Policy: loadbalance.PolicyFunc(func(v loadbalance.View) int { return policy.Next(v) })})
			count := counts(t, b, 20, 2000)
			if policy == loadbalance.First {
				count = count[:1]
			}
			uniform(t, "left to another", count)
		}
	})
}
