package loadbalance_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// A condition is something that a set can be in. What follows its setup is measured.
type condition struct {
	name  string
	setup func(b *testing.B, n int) (*loadbalance.Balancer[int], loadbalance.Hint)
}

var conditions = []condition{
	{"healthy", func(b *testing.B, n int) (*loadbalance.Balancer[int], loadbalance.Hint) {
		return newBelay(n, nil), loadbalance.Hint{}
	}},
	{"slowstart", func(b *testing.B, n int) (*loadbalance.Balancer[int], loadbalance.Hint) {
		lb := pushed(b, loadbalance.Config{SlowStart: time.Hour}, generation(n, 0), generation(n, 1))
		mustBe(b, lb, n, loadbalance.SlowStart)
		return lb, loadbalance.Hint{}
	}},
	{"ejected", func(b *testing.B, n int) (*loadbalance.Balancer[int], loadbalance.Hint) {
		lb := pushed(b, loadbalance.Config{EjectAfter: 1, EjectFor: time.Hour, MaxEjectFor: time.Hour}, generation(n, 0))
		for i := range n / 10 {
			p, err := lb.PickWith(context.Background(), loadbalance.Hint{Prefer: []string{"0-" + strconv.Itoa(10*i)}})
			if err != nil {
				b.Fatal(err)
			}
			p.Done(loadbalance.Result{Outcome: loadbalance.Failure})
		}
		mustBe(b, lb, n/10, loadbalance.Ejected)
		return lb, loadbalance.Hint{}
	}},
	{"down", func(b *testing.B, n int) (*loadbalance.Balancer[int], loadbalance.Hint) {
		lb := pushed(b, loadbalance.Config{EjectAfter: 1, EjectFor: time.Hour, MaxEjectFor: time.Hour, MaxEjected: 1}, generation(n, 0))
		for i := range n {
			p, err := lb.PickWith(context.Background(), loadbalance.Hint{Prefer: []string{"0-" + strconv.Itoa(i)}})
			if err != nil {
				b.Fatal(err)
			}
			p.Done(loadbalance.Result{Outcome: loadbalance.Failure})
		}
		if !lb.Stats().Panic {
			b.Fatal("they are not down")
		}
		return lb, loadbalance.Hint{}
	}},
	{"prefer", func(b *testing.B, n int) (*loadbalance.Balancer[int], loadbalance.Hint) {
		var third []string
		for i := 0; i < n; i += 3 {
			third = append(third, strconv.Itoa(i))
		}
		return newBelay(n, nil), loadbalance.Hint{Prefer: third}
	}},
}

// inConditions has the paths "in-N-CONDITION": a pick and the end of its call, by peak
// EWMA, in sets of N endpoints.
func inConditions(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		for _, c := range conditions {
			b.Run("in-"+strconv.Itoa(n)+"-"+c.name, func(b *testing.B) {
				b.Run("belay", func(b *testing.B) {
					lb, hint := c.setup(b, n)
					defer lb.Close()
					pickIn(b, lb, hint)
				})
				b.Run("floor", func(b *testing.B) { timePairs(b, n) })
			})
		}
	}
}

func pickIn(b *testing.B, lb *loadbalance.Balancer[int], hint loadbalance.Hint) {
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		p, err := lb.PickWith(ctx, hint)
		if err != nil {
			b.Fatal(err)
		}
		p.Done(loadbalance.Result{})
	}
}

// generation is n endpoints with keys that no other generation has.
func generation(n, g int) []loadbalance.Endpoint[int] {
	set := make([]loadbalance.Endpoint[int], n)
	for i := range set {
		set[i] = loadbalance.Endpoint[int]{Key: strconv.Itoa(g) + "-" + strconv.Itoa(i), Value: i}
	}
	return set
}

// A source gives the sets that it is sent.
type source chan []loadbalance.Endpoint[int]

func (s source) Watch(ctx context.Context, set func([]loadbalance.Endpoint[int], error)) error {
	for {
		select {
		case next := <-s:
			set(next, nil)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pushed returns a balancer with the last of the sets, after the others.
func pushed(b *testing.B, cfg loadbalance.Config, sets ...[]loadbalance.Endpoint[int]) *loadbalance.Balancer[int] {
	b.Helper()
	src := make(source)
	lb := loadbalance.New(src, cfg)
	for _, set := range sets {
		src <- set
	}
	for last := sets[len(sets)-1]; !has(lb, last); {
		time.Sleep(time.Millisecond)
	}
	return lb
}

func has(lb *loadbalance.Balancer[int], set []loadbalance.Endpoint[int]) bool {
	return slices.ContainsFunc(lb.Stats().Endpoints, func(e loadbalance.EndpointStats) bool { return e.Key == set[0].Key })
}

func mustBe(b *testing.B, lb *loadbalance.Balancer[int], want int, state loadbalance.State) {
	b.Helper()
	n := 0
	for _, e := range lb.Stats().Endpoints {
		if e.State == state {
			n++
		}
	}
	if n != want {
		b.Fatalf("%d are %v, want %d", n, state, want)
	}
}

// whileSwapped measures the slowest picks of sets of 10,000, while they are replaced
// again and again, and while they are not: the metric p99.9-ns.
func whileSwapped(b *testing.B, swap bool) {
	const n = 10_000
	sets := [][]loadbalance.Endpoint[int]{generation(n, 0), generation(n, 1)}
	src := make(source)
	lb := loadbalance.New(src, loadbalance.Config{})
	src <- sets[0]
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for g := 1; swap; g++ {
			select {
			case src <- sets[g%2]:
			case <-stop:
				return
			}
		}
	}()
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		p, err := lb.Pick(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		p.Done(loadbalance.Result{})
		took = append(took, time.Since(begin))
	}
	close(stop)
	<-stopped
	lb.Close()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*999/1000]), "p99.9-ns")
}
