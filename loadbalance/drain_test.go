package loadbalance_test

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/internal/sim"
	"github.com/belay-go/belay/loadbalance"
)

// yielding is a policy in which other goroutines get to run, as they can anywhere.
var yielding = loadbalance.PolicyFunc(func(v loadbalance.View) int {
	i := v.At(v.Rand())
	runtime.Gosched()
	return i
})

// resource is a Value that must not be used once it is closed.
type resource struct{ closed atomic.Bool }

// replacements calls f so many times, in full length twenty times as often.
func replacements(f func(i int)) {
	n := 5000
	if sim.Full() {
		n = 100_000
	}
	for i := range n {
		f(i)
	}
}

// No Value is used after the event Drained, however the set is replaced meanwhile.
func TestDrainedIsNotUsed(t *testing.T) {
	var drained atomic.Int64
	b := loadbalance.New(loadbalance.Static(endpointsOf[*resource](0, func(int) *resource { return new(resource) })...), loadbalance.Config{
		Policy: yielding, SlowStart: -1, Observe: func(_ context.Context, e loadbalance.Event) {
			if e.Kind == loadbalance.Drained {
				e.Value.(*resource).closed.Store(true)
				drained.Add(1)
			}
		}})
	defer b.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var used, bad atomic.Int64
	for c := range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var hint loadbalance.Hint
				if c == 0 {
					hint.Exclude = []string{"none"}
				}
				p, err := b.PickWith(t.Context(), hint)
				if err != nil {
					t.Error(err)
					return
				}
				if p.Value().closed.Load() {
					bad.Add(1)
				}
				used.Add(1)
				p.Done(loadbalance.Result{})
			}
		})
	}
	replacements(func(i int) {
		loadbalance.Set(b, endpointsOf(2*i, func(int) *resource { return new(resource) }), nil)
	})
	close(stop)
	wg.Wait()
	if bad.Load() > 0 || drained.Load() == 0 {
		t.Errorf("%d of %d calls went to one of %d that were closed", bad.Load(), used.Load(), drained.Load())
	}
}

// endpointsOf is a set of three, of keys from i on.
func endpointsOf[T any](i int, value func(i int) T) (set []loadbalance.Endpoint[T]) {
	for j := i; j < i+3; j++ {
		set = append(set, loadbalance.Endpoint[T]{Key: strconv.Itoa(j), Value: value(j)})
	}
	return set
}

// No pool of connections outlives its endpoint.
func TestPoolsGoWithTheirEndpoints(t *testing.T) {
	address := func(i int) *url.URL { return &url.URL{Scheme: "http", Host: "host-" + strconv.Itoa(i)} }
	b := loadbalance.New(changing[*url.URL]{}, loadbalance.Config{Policy: yielding, SlowStart: -1})
	defer b.Close()
	loadbalance.Set(b, endpointsOf(0, address), nil)
	base := &http.Transport{}
	transport := &loadbalance.Transport{Balancer: b, Base: base}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if loadbalance.UsePool(transport, t.Context()) != nil {
					t.Error("no pick")
				}
			}
		})
	}
	replacements(func(i int) { loadbalance.Set(b, endpointsOf(2*i, address), nil) })
	close(stop)
	wg.Wait()
	if n := loadbalance.Pools(transport); n > 3 {
		t.Errorf("%d pools for 3 endpoints", n)
	}
}

// changing is a source whose sets come from elsewhere.
type changing[T any] struct{}

func (changing[T]) Watch(ctx context.Context, _ func([]loadbalance.Endpoint[T], error)) error {
	<-ctx.Done()
	return ctx.Err()
}
