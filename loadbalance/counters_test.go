package loadbalance_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/belay-go/belay/loadbalance"
)

// counted is what Stats has counted.
func counted(s loadbalance.Stats) loadbalance.Stats {
	return loadbalance.Stats{Calls: s.Calls, Failed: s.Failed, Refused: s.Refused, Ejected: s.Ejected}
}

// countedOf is what Stats has counted for an endpoint.
func countedOf(e loadbalance.EndpointStats) loadbalance.EndpointStats {
	return loadbalance.EndpointStats{InFlight: e.InFlight, Calls: e.Calls, Failed: e.Failed, Overloaded: e.Overloaded, Ignored: e.Ignored, Trials: e.Trials, Ejected: e.Ejected}
}

// Each way of a call counts once, when the call has ended, as what it came to.
func TestCountsOfOneCall(t *testing.T) {
	ignored, overload := result{Outcome: loadbalance.Ignored}, result{Outcome: loadbalance.Overload}
	for _, policy := range policies {
		for _, tt := range []struct {
			name           string
			answered, done result
			want           loadbalance.EndpointStats
		}{
			{name: "a success", done: good},
			{name: "a failure", done: failed, want: loadbalance.EndpointStats{Failed: 1}},
			{name: "an overload", done: overload, want: loadbalance.EndpointStats{Overloaded: 1}},
			{name: "ignored", done: ignored, want: loadbalance.EndpointStats{Ignored: 1}},
			{name: "good, good", answered: good, done: good},
			{name: "good, ignored", answered: good, done: ignored},
			{name: "good, a failure", answered: good, done: failed, want: loadbalance.EndpointStats{Failed: 1}},
			{name: "a failure, good", answered: failed, done: good, want: loadbalance.EndpointStats{Failed: 1}},
			{name: "a failure, a failure", answered: failed, done: failed, want: loadbalance.EndpointStats{Failed: 1}},
			{name: "an overload, a failure", answered: overload, done: failed, want: loadbalance.EndpointStats{Overloaded: 1}},
			{name: "ignored, good", answered: ignored, done: good},
			{name: "ignored, a failure", answered: ignored, done: failed, want: loadbalance.EndpointStats{Failed: 1}},
			{name: "ignored, an overload", answered: ignored, done: overload, want: loadbalance.EndpointStats{Overloaded: 1}},
			{name: "ignored, ignored", answered: ignored, done: ignored, want: loadbalance.EndpointStats{Ignored: 1}},
		} {
			b := fixed(1, loadbalance.Config{Policy: policy})
			p := picked(t, b)
			if len(tt.name) > 12 || tt.name == "good, good" {
				p.Answered(tt.answered)
			}
			if diff := cmp.Diff(loadbalance.EndpointStats{InFlight: 1}, countedOf(stats(t, b, "0"))); diff != "" {
				t.Errorf("%v, %s: before its end: %s", policy, tt.name, diff)
			}
			p.Done(tt.done)
			p.Done(failed) // changes nothing
			tt.want.Calls = 1
			if diff := cmp.Diff(tt.want, countedOf(stats(t, b, "0"))); diff != "" {
				t.Errorf("%v, %s: %s", policy, tt.name, diff)
			}
			if diff := cmp.Diff(loadbalance.Stats{Calls: 1, Failed: tt.want.Failed}, counted(b.Stats())); diff != "" {
				t.Errorf("%v, %s: %s", policy, tt.name, diff)
			}
		}
	}
}

// Refusals, ejections and trials count as they happen.
func TestCountsOfEjections(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(2, loadbalance.Config{EjectAfter: 2, EjectFor: time.Second, SlowStart: -1, MaxInFlight: 1})
		at(t, b, "0", failed)
		at(t, b, "0", failed) // ejected
		before := b.Stats().Calls
		p := picked(t, b)
		_, err := b.Pick(t.Context())
		if !errors.Is(err, loadbalance.ErrOverloaded) {
			t.Error(err)
		}
		b.PickWith(t.Context(), loadbalance.Hint{Exclude: []string{"0", "1"}})
		p.Done(good)
		if n := b.Stats().Calls; n != before+1 {
			t.Errorf("%d calls with those that were refused, want %d", n, before+1)
		}
		loadbalance.Do(t.Context(), b, func(context.Context, int) (int, error) { return 0, nil })
		time.Sleep(time.Second)
		trial := func(r result) {
			synctest.Wait()
			for range 3 {
				if p := picked(t, b); p.Value() == 0 {
					p.Done(r)
					return
				} else {
					p.Done(good)
				}
			}
			t.Error("no trial")
		}
		trial(failed) // ejected again
		time.Sleep(2 * time.Second)
		trial(good)
		if diff := cmp.Diff(loadbalance.Stats{Calls: b.Stats().Endpoints[0].Calls + b.Stats().Endpoints[1].Calls, Failed: 3, Refused: 2, Ejected: 2}, counted(b.Stats())); diff != "" {
			t.Error(diff)
		}
		if s := stats(t, b, "0"); s.Trials != 2 || s.Ejected != 2 || s.Failed != 3 {
			t.Errorf("%+v", s)
		}
		b.Close()
		b.Pick(t.Context())
		if n := b.Stats().Refused; n != 3 {
			t.Errorf("%d refused, want 3", n)
		}
	})
}

// tallies is what the callers have counted themselves.
type tallies struct{ calls, failed, overloaded, ignored, refused atomic.Uint64 }

// Sums are exact, however often the set is replaced under the calls, and never fall.
// Endpoints whose calls are lost with them would be missed: there are more than are
// remembered.
func TestCountsAreExact(t *testing.T) {
	for _, policy := range []loadbalance.Policy{nil, loadbalance.P2C} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) { countsAreExact(t, policy) })
	}
}

func countsAreExact(t *testing.T, policy loadbalance.Policy) {
	b := fixed(20, loadbalance.Config{Policy: policy, EjectAfter: 2, EjectFor: time.Millisecond, SlowStart: time.Millisecond, MaxInFlight: 3})
	defer b.Close()
	var want tallies
	var ejected atomic.Uint64
	byKey := map[string]*tallies{"0": {}, "1": {}, "2": {}} // they stay
	var stop atomic.Bool
	var callers, others sync.WaitGroup
	others.Go(func() {
		for g := 0; !stop.Load(); g++ {
			set := numbers(3)
			for i := range 60 {
				set = append(set, endpoint{Key: "g" + strconv.Itoa(g) + "-" + strconv.Itoa(i)})
			}
			loadbalance.Set(b, set, nil)
		}
	})
	others.Go(func() {
		var last loadbalance.Stats
		endpoints := map[string]loadbalance.EndpointStats{}
		for !stop.Load() {
			s := b.Stats()
			if s.Calls < last.Calls || s.Failed < last.Failed || s.Refused < last.Refused || s.Ejected < last.Ejected || s.Failed > s.Calls {
				t.Errorf("%+v after %+v", counted(s), counted(last))
			}
			for _, e := range s.Endpoints {
				was := endpoints[e.Key]
				if e.Calls < was.Calls || e.Failed < was.Failed || e.Overloaded < was.Overloaded || e.Ignored < was.Ignored ||
					e.Trials < was.Trials || e.Ejected < was.Ejected || e.Failed+e.Overloaded+e.Ignored > e.Calls {
					t.Errorf("%+v after %+v", e, was)
				}
				endpoints[e.Key] = e
			}
			last = s
			ejected.Store(s.Ejected)
		}
	})
	for seed := range uint64(4) {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for range 5000 {
				call(t, b, r, &want, byKey)
			}
		})
	}
	callers.Wait()
	stop.Store(true)
	others.Wait()
	s := b.Stats()
	if diff := cmp.Diff(loadbalance.Stats{Calls: want.calls.Load(), Failed: want.failed.Load(), Refused: want.refused.Load(), Ejected: s.Ejected}, counted(s)); diff != "" {
		t.Error(diff)
	}
	for _, e := range s.Endpoints {
		if w := byKey[e.Key]; w != nil {
			if diff := cmp.Diff(loadbalance.EndpointStats{Calls: w.calls.Load(), Failed: w.failed.Load(), Overloaded: w.overloaded.Load(),
				Ignored: w.ignored.Load(), Trials: e.Trials, Ejected: e.Ejected}, countedOf(e)); diff != "" {
				t.Errorf("%s: %s", e.Key, diff)
			}
		}
	}
	if s.Ejected == 0 || want.refused.Load() == 0 || want.failed.Load() == 0 {
		t.Errorf("nothing has happened: %+v", counted(s))
	}
}

// call is a call that may go any way, and is counted.
func call(t *testing.T, b *balancer, r *rand.Rand, all *tallies, byKey map[string]*tallies) {
	var h loadbalance.Hint
	if r.IntN(10) == 0 {
		h.Prefer = []string{"0", "1", "2"}
	}
	if r.IntN(100) == 0 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.PickWith(ctx, h); err == nil {
			t.Error("picked with a context that has ended")
		}
		all.refused.Add(1)
		return
	}
	p, err := b.PickWith(t.Context(), h)
	if err != nil {
		all.refused.Add(1)
		return
	}
	outcomes := []loadbalance.Outcome{loadbalance.Success, loadbalance.Success, loadbalance.Success, loadbalance.Failure, loadbalance.Overload, loadbalance.Ignored}
	first, last := outcomes[r.IntN(len(outcomes))], outcomes[r.IntN(len(outcomes))]
	key := p.Endpoint().Key
	if r.IntN(2) == 0 {
		p.Answered(result{Outcome: first})
		if first != loadbalance.Ignored && (first != loadbalance.Success || last != loadbalance.Failure) {
			p.Done(result{Outcome: last})
			last = first
		}
	}
	p.Done(result{Outcome: last})
	for _, w := range []*tallies{all, byKey[key]} {
		if w == nil {
			continue
		}
		w.calls.Add(1)
		switch last {
		case loadbalance.Failure:
			w.failed.Add(1)
		case loadbalance.Overload:
			w.overloaded.Add(1)
		case loadbalance.Ignored:
			w.ignored.Add(1)
		}
	}
}

// A Pick that is done a second time, by way of a copy, is found out where it matters:
// it would take away a call that is not there.
func TestCopiesDoneTwice(t *testing.T) {
	const want = "loadbalance: a Pick was done twice, by way of a copy"
	panics := func(what string, f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if got := recover(); got != want {
				t.Errorf("%s: %v", what, got)
			}
		}()
		f()
	}
	for _, policy := range policies {
		b := fixed(1, loadbalance.Config{Policy: policy})
		p := picked(t, b)
		q, r := copyOf(p), copyOf(p)
		p.Done(good)
		panics("Done", func() { q.Done(good) })
		panics("Answered", func() { r.Answered(good) })
		p = picked(t, b)
		p.Answered(good)
		q = copyOf(p)
		p.Done(good)
		panics("Done after Answered", func() { q.Done(good) })
		for range 3 {
			one(t, b, good)
		}
		if diff := cmp.Diff(loadbalance.EndpointStats{Calls: 5}, countedOf(stats(t, b, "0"))); diff != "" {
			t.Errorf("%v: %s", policy, diff)
		}
	}
}

// copyOf copies what go vet would report.
func copyOf(p *pick) *pick {
	q := new(pick)
	loadbalance.CopyPick(q, p)
	return q
}

// Counters cost no more allocations for a thousand endpoints than for one.
func TestStatsAllocateOnce(t *testing.T) {
	b := fixed(1000, loadbalance.Config{})
	if got := testing.AllocsPerRun(10, func() { b.Stats() }); got > 1 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkStats(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			lb := fixed(n, loadbalance.Config{})
			b.ReportAllocs()
			for b.Loop() {
				lb.Stats()
			}
		})
	}
}
