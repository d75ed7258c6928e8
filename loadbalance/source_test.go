package loadbalance_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
	"github.com/google/go-cmp/cmp"
)

// feed is a source that a test feeds, in a bubble.
type feed struct {
	updates chan update
	watched []time.Time
	fresh   int
}

type update struct {
	set []endpoint
	err error // of set
	end error // of Watch
}

var errFinal = errors.New("the last set is final")

func newFeed() *feed { return &feed{updates: make(chan update)} }

func (f *feed) Watch(ctx context.Context, set func([]endpoint, error)) error {
	f.watched = append(f.watched, time.Now())
	for {
		select {
		case u := <-f.updates:
			switch u.end {
			case nil:
				set(u.set, u.err)
			case errFinal:
				return nil
			default:
				return u.end
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *feed) Refresh() { f.fresh++ }

func (f *feed) set(set ...endpoint) { f.send(update{set: set}) }
func (f *feed) fail(err error)      { f.send(update{err: err}) }

func (f *feed) send(u update) {
	f.updates <- u
	synctest.Wait()
}

func keys(b *balancer) (keys []string) {
	for _, e := range b.Stats().Endpoints {
		if e.State != loadbalance.Draining {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// What is wrong with a set is said by name, and the last good set stays.
func TestBadSets(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		var events []loadbalance.Event
		b := loadbalance.New(src, loadbalance.Config{Observe: collect(&events)})
		defer b.Close()
		src.set(numbers(2)...)
		for _, tt := range []struct {
			name string
			set  []endpoint
			want error
			says string
		}{
			{"a key twice", []endpoint{{Key: "x"}, {Key: "x"}}, loadbalance.ErrDuplicateKey, `"x"`},
			{"a weight below 0", []endpoint{{Key: "y", Weight: -1}}, loadbalance.ErrBadWeight, `"y" has -1`},
			{"no weight", []endpoint{{Key: "y", Weight: math.NaN()}}, loadbalance.ErrBadWeight, "NaN"},
			{"all of the weight", []endpoint{{Key: "y", Weight: math.Inf(1)}}, loadbalance.ErrBadWeight, "Inf"},
			{"empty", nil, nil, "empty"},
		} {
			src.set(tt.set...)
			err := b.Stats().Err
			if !errors.Is(err, tt.want) && tt.want != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", tt.name, err)
			}
			if e := events[len(events)-1]; e.Kind != loadbalance.SourceFailed || e.Err == nil {
				t.Errorf("%s: told %+v", tt.name, e)
			}
			if got := keys(b); !slices.Equal(got, []string{"0", "1"}) {
				t.Errorf("%s: %v", tt.name, got)
			}
			one(t, b, good)
		}
		src.set(numbers(3)...)
		if err := b.Stats().Err; err != nil || len(keys(b)) != 3 {
			t.Errorf("%v, %v", err, keys(b))
		}
	})
	b := loadbalance.New(loadbalance.Static[int](), loadbalance.Config{})
	if _, err := b.Pick(t.Context()); !errors.Is(err, loadbalance.ErrNoEndpoints) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("%v", err)
	}
	b = loadbalance.New(loadbalance.Static(endpoint{Key: "x"}, endpoint{Key: "x"}), loadbalance.Config{})
	if _, err := b.Pick(t.Context()); !errors.Is(err, loadbalance.ErrDuplicateKey) {
		t.Errorf("%v", err)
	}
}

// A source that fails is watched again, with a back-off; one whose set is final is
// not.
func TestWatchAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{})
		defer b.Close()
		for range 8 {
			src.send(update{end: errors.New("the stream broke")})
		}
		src.send(update{set: numbers(1)})
		for i, want := range []float64{1, 2, 4, 8, 16, 30, 30, 30} {
			d := src.watched[i+1].Sub(src.watched[i]).Seconds()
			if d < want/2 || d > want*1.5 {
				t.Errorf("pause %d was %v s, want about %v", i, d, want)
			}
		}
		time.Sleep(time.Hour) // it has worked for long
		src.send(update{end: errors.New("the stream broke")})
		src.send(update{end: errFinal})
		if d := src.watched[9].Sub(src.watched[8]) - time.Hour; d > 2*time.Second {
			t.Errorf("the pause was %v", d)
		}
		time.Sleep(time.Hour)
		if len(src.watched) != 10 || !slices.Equal(keys(b), []string{"0"}) {
			t.Errorf("watched %d times, %v", len(src.watched), keys(b))
		}
	})
}

// lost is a source whose Watch ends without a word, at first.
type lost struct {
	calls atomic.Int32
	leave func()
}

func (l *lost) Watch(ctx context.Context, set func([]endpoint, error)) error {
	if l.calls.Add(1) < 3 {
		l.leave()
	}
	set(numbers(2), nil)
	<-ctx.Done()
	return ctx.Err()
}

// A Watch that calls runtime.Goexit, or panics where somebody is told, is watched again
// like one that returns an error.
func TestWatchIsLost(t *testing.T) {
	for says, leave := range map[string]func(){"Goexit": runtime.Goexit, "panicked: oops": func() { panic("oops") }} {
		inBubble(t, func(t *testing.T) {
			var events []loadbalance.Event
			src := &lost{leave: leave}
			b := loadbalance.New(src, loadbalance.Config{Observe: collect(&events)})
			defer b.Close()
			if _, err := b.Pick(t.Context()); !errors.Is(err, loadbalance.ErrNoEndpoints) || !strings.Contains(err.Error(), says) {
				t.Errorf("%v", err)
			}
			if err := b.Stats().Err; err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v", err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			kinds := map[loadbalance.Kind]int{} // the pick may tell before the source does
			for _, e := range events {
				kinds[e.Kind]++
			}
			want := map[loadbalance.Kind]int{loadbalance.Refused: 1, loadbalance.SourceFailed: 2, loadbalance.Updated: 1}
			if diff := cmp.Diff(want, kinds); diff != "" || src.calls.Load() != 3 || b.Stats().Err != nil {
				t.Errorf("watched %d times, %v; told (-want +got):\n%s", src.calls.Load(), b.Stats().Err, diff)
			}
			picked(t, b)
		})
	}
}

// What is known belongs to the key: it survives new sets, new values, and a resolver
// that forgets an endpoint once in a while.
func TestStateSurvives(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{EjectAfter: 1, EjectFor: time.Hour, MaxEjectFor: time.Hour})
		defer b.Close()
		src.set(numbers(4)...)
		p := picked(t, b)
		time.Sleep(50 * time.Millisecond)
		p.Done(good)
		at(t, b, "1", failed)
		flaps := [][]endpoint{
			{{Key: "3"}, {Key: "1", Value: 11}, {Key: "0"}, {Key: "2"}, {Key: "9"}},
			numbers(1), // 1 has left
			numbers(4), // and comes back
		}
		for _, set := range flaps {
			src.set(set...)
			if got := stats(t, b, "0").Latency; got < 49*time.Millisecond || got > 50*time.Millisecond {
				t.Errorf("the latency is %v", got)
			}
			time.Sleep(10 * time.Millisecond)
		}
		inState(t, b, "1", loadbalance.Ejected, "")
	})
}

// Policies follow the set, and its weights.
func TestWeightsChange(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{Policy: loadbalance.Weighted, SlowStart: -1})
		defer b.Close()
		for _, weights := range [][]float64{{1, 1}, {3, 1}, {1, 2, 5}, {1}} {
			src.set(withWeights(weights...)...)
			sum := 0.0
			for _, w := range weights {
				sum += w
			}
			for i, n := range counts(t, b, len(weights), 2400) {
				if want := int(2400 * weights[i] / sum); n < want-3 || n > want+3 {
					t.Errorf("%v: %d has %d picks, want %d", weights, i, n, want)
				}
			}
		}
	})
}

// An endpoint that has left is not picked, and drains.
func TestDrain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		var events []loadbalance.Event
		b := loadbalance.New(src, loadbalance.Config{Observe: collect(&events)})
		defer b.Close()
		src.set(numbers(2)...)
		p := picked(t, b)
		q := picked(t, b)
		for q.Value() != p.Value() {
			q = picked(t, b)
		}
		q.Answered(good)
		key := p.Endpoint().Key
		src.set(numbers(2)[1-p.Value()])
		inState(t, b, key, loadbalance.Draining, "it is not in the set any more")
		if count := counts(t, b, 2, 100); count[p.Value()] != 0 {
			t.Errorf("%v", count)
		}
		drained := func() bool {
			return slices.ContainsFunc(events, func(e loadbalance.Event) bool { return e.Kind == loadbalance.Drained })
		}
		p.Done(failed)
		if drained() {
			t.Error("drained with a call in flight")
		}
		q.Done(good)
		if e := events[len(events)-1]; e.Kind != loadbalance.Drained || e.Key != key || e.Value != p.Value() {
			t.Errorf("told %+v", e)
		}
		if n := len(b.Stats().Endpoints); n != 1 {
			t.Errorf("%d endpoints", n)
		}
	})
}

// Sources with a Refresh are told of trouble.
func TestRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{EjectAfter: 2})
		defer b.Close()
		src.set(numbers(4)...)
		at(t, b, "1", failed)
		if src.fresh != 0 {
			t.Error("refreshed for one failure")
		}
		at(t, b, "1", failed)
		if src.fresh != 1 {
			t.Errorf("refreshed %d times for an ejection", src.fresh)
		}
	})
}

// What is remembered of those that have left is bounded.
func TestForgets(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{})
		defer b.Close()
		src.set(numbers(3000)...)
		src.set(numbers(1)...)
		src.set(numbers(2)...)
		if n := loadbalance.Remembered(b); n > 1025 {
			t.Errorf("%d are remembered", n)
		}
		time.Sleep(6 * time.Minute)
		src.set(numbers(1)...)
		if n := loadbalance.Remembered(b); n != 1 {
			t.Errorf("%d are remembered", n)
		}
	})
}
