package loadbalance_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// at is a call to that endpoint, whatever its health.
func at(t *testing.T, b *balancer, key string, r result) {
	t.Helper()
	var others []string
	for _, e := range b.Stats().Endpoints {
		if e.Key != key {
			others = append(others, e.Key)
		}
	}
	p, err := b.PickWith(t.Context(), loadbalance.Hint{Exclude: others})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Endpoint().Key; got != key {
		t.Fatalf("picked %s, want %s", got, key)
	}
	p.Done(r)
}

func times(n int, f func()) {
	for range n {
		f()
	}
}

func inState(t *testing.T, b *balancer, key string, want loadbalance.State, reason string) {
	t.Helper()
	synctest.Wait()
	if s := stats(t, b, key); s.State != want || !strings.Contains(s.Reason, reason) {
		t.Errorf("%s is %v: %q, want %v: %q", key, s.State, s.Reason, want, reason)
	}
}

// due makes the calls that come before a trial: as many as there are endpoints that
// can be picked.
func due(t *testing.T, b *balancer) {
	t.Helper()
	endpoints := b.Stats().Endpoints
	for _, e := range endpoints {
		if e.State != loadbalance.Healthy && e.State != loadbalance.SlowStart {
			continue
		}
		if i := one(t, b, good); endpoints[i].State == loadbalance.HalfOpen {
			t.Errorf("the trial of %d came too early", i)
		}
	}
}

func TestEjection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(10, loadbalance.Config{Policy: loadbalance.Random})
		times(4, func() { at(t, b, "3", failed) })
		at(t, b, "3", good)
		times(4, func() { at(t, b, "3", failed) })
		inState(t, b, "3", loadbalance.Healthy, "")
		late, _ := b.PickWith(t.Context(), loadbalance.Hint{Prefer: []string{"3"}})
		at(t, b, "3", failed)
		inState(t, b, "3", loadbalance.Ejected, "5 calls in a row have failed; the last error: it failed")
		if count := counts(t, b, 10, 1000); count[3] != 0 {
			t.Errorf("%v", count)
		}

		time.Sleep(4 * time.Second)
		late.Done(failed) // of no effect any more
		time.Sleep(time.Second - 1)
		inState(t, b, "3", loadbalance.Ejected, "")
		time.Sleep(time.Nanosecond)
		inState(t, b, "3", loadbalance.HalfOpen, "ejected for 5s: 5 calls in a row")
		// One call is the trial, and no other goes there meanwhile.
		due(t, b)
		trial := picked(t, b)
		if trial.Value() != 3 {
			t.Fatalf("the trial went to %d", trial.Value())
		}
		if count := counts(t, b, 10, 1000); count[3] != 0 {
			t.Errorf("during the trial: %v", count)
		}
		trial.Done(good)
		inState(t, b, "3", loadbalance.SlowStart, "its trial succeeded")
		count := counts(t, b, 10, 10_000)
		if count[3] < 50 || count[3] > 200 { // a tenth of a tenth
			t.Errorf("slow start: %v", count)
		}
		time.Sleep(5 * time.Second)
		if count := counts(t, b, 10, 10_000); count[3] < 400 || count[3] > 650 {
			t.Errorf("half of the slow start: %v", count)
		}
		time.Sleep(5 * time.Second)
		inState(t, b, "3", loadbalance.Healthy, "its slow start is over")
		uniform(t, "afterwards", counts(t, b, 10, 10_000))
	})
}

// A trial that fails doubles the time, up to the maximum; a healthy time as long as
// the last one starts anew.
func TestEjectionDoubles(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(3, loadbalance.Config{EjectAfter: 1, SlowStart: -1, MaxEjectFor: 15 * time.Second})
		at(t, b, "0", failed)
		for _, d := range []time.Duration{5, 10, 15, 15} {
			inState(t, b, "0", loadbalance.Ejected, "failed")
			time.Sleep(d*time.Second - 1)
			inState(t, b, "0", loadbalance.Ejected, "")
			time.Sleep(time.Nanosecond)
			inState(t, b, "0", loadbalance.HalfOpen, "")
			due(t, b)
			if one(t, b, failed) != 0 {
				t.Fatal("the trial went elsewhere")
			}
		}
		inState(t, b, "0", loadbalance.Ejected, "its trial failed")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		due(t, b)
		one(t, b, good)
		time.Sleep(14 * time.Second)
		at(t, b, "0", failed)
		time.Sleep(15*time.Second - 1)
		inState(t, b, "0", loadbalance.Ejected, "")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		due(t, b)
		one(t, b, good)
		time.Sleep(15 * time.Second)
		at(t, b, "0", failed)
		time.Sleep(5 * time.Second)
		inState(t, b, "0", loadbalance.HalfOpen, "")
	})
}

// An endpoint that fails more often than not is ejected, though it never fails often
// in a row; one that fails once in ten times is not.
func TestEjectionByRate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(10, loadbalance.Config{})
		for n := range 500 {
			r := failed
			if n%10 != 0 {
				r = good
			}
			at(t, b, "1", r)
		}
		inState(t, b, "1", loadbalance.Healthy, "")
		times(20, func() {
			at(t, b, "2", failed)
			at(t, b, "2", failed)
			at(t, b, "2", good)
		})
		inState(t, b, "2", loadbalance.Ejected, "% of the last calls have failed")
		b = fixed(10, unejected)
		times(100, func() { at(t, b, "2", failed) })
		inState(t, b, "2", loadbalance.Healthy, "")
	})
}

// At most a part is ejected, but one of several may always be; so a pause of this
// process, after which all calls have timed out, does not eject everything.
func TestEjectionIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for n, want := range map[int]int{1: 0, 2: 1, 3: 1, 6: 1, 7: 2, 10: 3, 100: 30} {
			b := fixed(n, loadbalance.Config{})
			calls := make([]*pick, 10*n)
			for i := range calls {
				calls[i] = picked(t, b)
			}
			for i := range calls {
				calls[i].Done(failed)
			}
			ejected := 0
			for _, e := range b.Stats().Endpoints {
				if e.State == loadbalance.Ejected {
					ejected++
				}
			}
			if ejected != want || b.Stats().Panic {
				t.Errorf("%d of %d are ejected, want %d", ejected, n, want)
			}
			b.Close()
		}
	})
}

// The lease of a trial that never ends gives way to another, and its result, when it
// comes after all, changes nothing; nor do those of calls from before.
func TestTrialLease(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(3, loadbalance.Config{EjectAfter: 1})
		before := picked(t, b)
		for before.Value() != 0 {
			before = picked(t, b)
		}
		at(t, b, "0", failed)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		due(t, b)
		lost := picked(t, b)
		before.Done(good)
		inState(t, b, "0", loadbalance.HalfOpen, "")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		due(t, b)
		trial := picked(t, b)
		if lost.Value() != 0 || trial.Value() != 0 {
			t.Fatalf("the trials went to %d and %d", lost.Value(), trial.Value())
		}
		lost.Done(failed)
		inState(t, b, "0", loadbalance.HalfOpen, "")
		trial.Done(result{Outcome: loadbalance.Ignored})
		inState(t, b, "0", loadbalance.HalfOpen, "")
		due(t, b)
		if one(t, b, good) != 0 {
			t.Error("an ignored trial did not make place for another")
		}
		inState(t, b, "0", loadbalance.SlowStart, "")
	})
}

// A stream's trial is over when it has been answered.
func TestTrialAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(3, loadbalance.Config{EjectAfter: 1})
		at(t, b, "0", failed)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		due(t, b)
		p := picked(t, b)
		p.Answered(good)
		inState(t, b, "0", loadbalance.SlowStart, "")
		p.Done(result{Outcome: loadbalance.Ignored})
		inState(t, b, "0", loadbalance.SlowStart, "")
	})
}

// An endpoint that asks to be left alone is, for as long; a refusal without that is
// no reason to eject.
func TestCooling(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(4, loadbalance.Config{EjectAfter: 1, SlowStart: -1})
		times(50, func() { at(t, b, "1", result{Outcome: loadbalance.Overload}) })
		inState(t, b, "1", loadbalance.Healthy, "")
		slow := result{Outcome: loadbalance.Overload, RetryAfter: 7 * time.Second, Err: errors.New("status 503")}
		at(t, b, "0", slow)
		inState(t, b, "0", loadbalance.Cooling, "overloaded; the last error: status 503")
		time.Sleep(7*time.Second - 1)
		inState(t, b, "0", loadbalance.Cooling, "")
		time.Sleep(time.Nanosecond)
		inState(t, b, "0", loadbalance.HalfOpen, "")
		due(t, b)
		if one(t, b, slow) != 0 {
			t.Error("the trial went elsewhere")
		}
		inState(t, b, "0", loadbalance.Cooling, "")
		time.Sleep(7 * time.Second)
		synctest.Wait()
		due(t, b)
		one(t, b, good)
		inState(t, b, "0", loadbalance.Healthy, "")

		slow.RetryAfter = 24 * time.Hour
		at(t, b, "0", slow)
		time.Sleep(time.Minute)
		inState(t, b, "0", loadbalance.HalfOpen, "")
	})
}

// When fewer than half are healthy, health is ignored: all cool, and all are used.
func TestPanic(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var events []loadbalance.Event
		b := fixed(4, loadbalance.Config{Policy: loadbalance.Random, SlowStart: -1, MaxEjected: 1, Observe: collect(&events)})
		cool := result{Outcome: loadbalance.Overload, RetryAfter: time.Second}
		at(t, b, "0", cool)
		at(t, b, "1", cool)
		if count := counts(t, b, 4, 100); count[0]+count[1] != 0 || b.Stats().Panic {
			t.Errorf("half of them: %v", count)
		}
		at(t, b, "2", cool)
		if count := counts(t, b, 4, 100); slices.Min(count) == 0 || !b.Stats().Panic {
			t.Errorf("most of them: %v", count)
		}
		at(t, b, "3", cool)
		if count := counts(t, b, 4, 100); slices.Min(count) == 0 || !b.Stats().Panic {
			t.Errorf("all of them: %v", count)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		times(4, func() { one(t, b, good) })
		if b.Stats().Panic {
			t.Errorf("afterwards: %+v", b.Stats())
		}
		var panics []bool
		for _, e := range events {
			if e.Kind == loadbalance.Panicked {
				panics = append(panics, e.Panic)
			}
		}
		if !slices.Equal(panics, []bool{true, false}) {
			t.Errorf("told %v", panics)
		}
		// Negative: only when there is none.
		b = fixed(4, loadbalance.Config{Panic: -1, MaxEjected: 1})
		for _, key := range []string{"0", "1", "2"} {
			at(t, b, key, cool)
		}
		if count := counts(t, b, 4, 100); count[3] != 100 {
			t.Errorf("%v", count)
		}
		at(t, b, "3", cool)
		one(t, b, good)
	})
}
