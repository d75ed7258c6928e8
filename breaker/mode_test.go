package breaker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := steady(Config{Consecutive: 2})
		run := func(op func(context.Context) error) error { return Run(t.Context(), b, op) }

		b.Force(ForcedOpen)
		sleep(time.Hour)
		err := run(succeed)
		if e, ok := errors.AsType[*Error](err); !ok || e.State != Open || e.RetryAfter() != 0 || !strings.HasSuffix(err.Error(), "is open: forced open") {
			t.Errorf("forced open: %v", err)
		}
		b.Trip(time.Minute, errDown)
		sleep(time.Hour)
		if b.State() != Open {
			t.Error("Trip has ended forced open")
		}

		b.Force(ForcedClosed)
		for range 10 {
			if err := run(fail); err != errDown {
				t.Fatalf("forced closed: %v", err)
			}
		}
		if s := b.Stats(); s.Window.Calls != 10 || s.Window.Failed != 10 || s.InARow != 10 || s.Mode != ForcedClosed || s.State != Closed {
			t.Errorf("forced closed does not count: %+v", s)
		}

		b.Force(Disabled)
		for range 10 {
			run(fail)
		}
		if s := b.Stats(); s.Window.Calls != 0 || s.State != Closed || s.Reason != "disabled" {
			t.Errorf("disabled: %+v", s)
		}

		b.Force(Auto)
		run(fail)
		if s := b.Stats(); s.Window.Calls != 1 || s.State != Closed {
			t.Errorf("auto does not begin anew: %+v", s)
		}
		run(fail)
		if b.State() != Open {
			t.Error("auto does not open")
		}

		b.Force(Auto)
		if err := run(succeed); err != nil || b.State() != Closed {
			t.Errorf("after Reset: %v, %v", err, b.State())
		}
		run(fail)
		run(fail)
		e := b.current.Load()
		if b.lastOpen != 5*time.Second {
			t.Errorf("open for %v after Reset, want the first time again", b.lastOpen)
		}
		b.Force(Auto)
		b.reopen(e)      // a timer that could not be stopped any more
		sleep(time.Hour) // one that could
		if b.State() != Closed {
			t.Errorf("%v long after Reset", b.State())
		}
	})
	defer func() {
		if v, _ := recover().(string); v != "breaker: Force: Mode(9) is not a mode" {
			t.Errorf("panicked with %q", v)
		}
	}()
	New(Config{}).Force(9)
}

func TestTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := steady(Config{})
		errMaintenance := errors.New("maintenance")
		b.Trip(time.Hour, errMaintenance)
		err := Run(t.Context(), b, succeed)
		if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, errMaintenance) || e.RetryAfter() != time.Hour {
			t.Errorf("error %v", err)
		}
		b.Trip(0, nil) // shortens it
		sleep(5 * time.Second)
		if b.State() != HalfOpen {
			t.Errorf("%v 5s after Trip(0)", b.State())
		}
		sleep(2 * time.Hour)
		if b.State() != HalfOpen {
			t.Errorf("%v: the first timer was still there", b.State())
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := steady(Config{Name: "users", Consecutive: 3, MinCalls: 4, Slow: time.Second})
		start := time.Now()
		Run(t.Context(), b, succeed)
		Run(t.Context(), b, func(context.Context) error { sleep(2 * time.Second); return nil })
		want := Stats{Name: "users", Since: start, Calls: 2, Slow: 1,
			Window: Counts{Calls: 2, Slow: 1}, InARow: 1, Reason: "2 of at least 4 calls in the window"}
		if diff := cmp.Diff(want, b.Stats(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("closed (-want +got):\n%s", diff)
		}
		Run(t.Context(), b, fail)
		Run(t.Context(), b, fail)
		opened := start.Add(2 * time.Second)
		const why = "3 calls in a row failed or were slow"
		want = Stats{Name: "users", State: Open, Generation: 1, Since: opened, NextTrial: start.Add(7 * time.Second), Reason: why,
			Calls: 4, Failed: 2, Slow: 1, Opened: 1,
			Transitions: []Transition{{At: opened, From: Closed, To: Open, Reason: why, Counts: Counts{Calls: 4, Failed: 2, Slow: 1}}}}
		if diff := cmp.Diff(want, b.Stats()); diff != "" {
			t.Errorf("open (-want +got):\n%s", diff)
		}
		sleep(5 * time.Second)
		Run(t.Context(), b, succeed)
		s := b.Stats()
		if s.Reason != "1 of 3 trials succeeded, 2 are needed" || s.Window.Calls != 1 {
			t.Errorf("%+v", s)
		}
		Run(t.Context(), b, succeed)
		if s = b.Stats(); s.Reason != "0 of at least 4 calls in the window; in slow start" {
			t.Errorf("%+v", s)
		}
		for range 40 {
			b.Trip(time.Second, nil)
		}
		if s = b.Stats(); len(s.Transitions) != 16 || s.Generation != 43 {
			t.Errorf("%d transitions kept, generation %d", len(s.Transitions), s.Generation)
		}
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "caller")
		var b *Breaker
		var mu sync.Mutex // a timer tells on a goroutine of its own
		var got []string
		b = steady(Config{Name: "users", Consecutive: 1, Trials: 1, Observe: func(ctx context.Context, e Event) {
			b.Stats() // whatever it uses of the breaker must not deadlock
			mu.Lock()
			defer mu.Unlock()
			s := fmt.Sprint(e.Kind, " ", e.Name, " ", ctx.Value(key{}))
			switch e.Kind {
			case Changed:
				s += fmt.Sprint(" ", e.Transition.From, " ", e.Transition.To)
			case Refused:
				s += fmt.Sprint(" ", e.Err.(*Error).State)
			}
			got = append(got, s)
		}})
		Run(ctx, b, fail)
		Run(ctx, b, succeed)
		b.Allow()
		sleep(5 * time.Second)
		Run(ctx, b, succeed)
		want := []string{
			"changed users caller closed open",
			"refused users caller open",
			"refused users <nil> open",
			"changed users <nil> open half-open",
			"changed users caller half-open closed",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// However a closed breaker lets calls through, an operation that does not return
// counts as a failure, once.
func TestClosedCallsThatDoNotReturnFail(t *testing.T) {
	configs := map[string]Config{
		"consecutive only": {Consecutive: 5, FailureRate: -1, AllFailed: -1},
		"window":           {},
		"classified":       {Classify: func(context.Context, error) Outcome { return Success }},
		"slow":             {Slow: time.Second},
		"in flight":        {Slow: time.Second, CountInFlight: true},
	}
	for name, cfg := range configs {
		for how, end := range map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit} {
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := New(cfg)
					for i := range 5 {
						if s := b.State(); s != Closed {
							t.Fatalf("%v after %d calls", s, i)
						}
						done := make(chan any)
						go func() {
							defer func() { done <- recover() }()
							Run(t.Context(), b, func(context.Context) error { end(); return nil })
						}()
						if v := <-done; (v == "boom") != (how == "panic") {
							t.Fatalf("recovered %v", v)
						}
					}
					if s := b.State(); s != Open {
						t.Errorf("%v after five calls that did not return, want open", s)
					}
				})
			})
		}
	}
}

func TestObserveMayPanicAndChangeTheState(t *testing.T) {
	var b *Breaker
	var seen []State
	b = New(Config{Observe: func(_ context.Context, e Event) {
		seen = append(seen, e.Transition.To)
		switch len(seen) {
		case 1:
			b.Force(Auto)
			b.Trip(time.Hour, nil)
		case 2:
			panic("observer")
		}
	}})
	func() {
		defer func() {
			if v := recover(); v != "observer" {
				t.Errorf("recovered %v", v)
			}
		}()
		b.Trip(time.Hour, nil)
	}()
	b.Force(Auto) // delivers what the panic has left
	if want := []State{Open, Closed, Open, Closed}; !slices.Equal(seen, want) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}

func TestObserveInOrder(t *testing.T) {
	var mu sync.Mutex
	last, count := Closed, 0
	b := New(Config{Observe: func(_ context.Context, e Event) {
		mu.Lock()
		defer mu.Unlock()
		count++
		if e.Transition.From != last {
			t.Errorf("from %v after a change to %v", e.Transition.From, last)
		}
		last = e.Transition.To
	}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				b.Trip(time.Hour, nil)
				b.Force(Auto)
			}
		})
	}
	wg.Wait()
	if count != 8*1000 || last != b.State() {
		t.Errorf("%d changes seen, the last to %v; state %v", count, last, b.State())
	}
}

func TestSlowCalls(t *testing.T) {
	take := func(d time.Duration) func(context.Context) error {
		return func(context.Context) error { sleep(d); return nil }
	}
	t.Run("rate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := steady(Config{MinCalls: 10, Slow: 100 * time.Millisecond, FailureRate: 0.3, AllFailed: -1})
			for i := range 10 {
				if b.State() != Closed {
					t.Fatalf("open after %d calls", i)
				}
				d := time.Millisecond
				if i > 6 {
					d = 101 * time.Millisecond
				}
				Run(t.Context(), b, take(d))
			}
			if b.State() != Open || b.Stats().Reason != "3 of 10 calls failed or were slow" {
				t.Errorf("%v: %s", b.State(), b.Stats().Reason)
			}
		})
	})
	t.Run("in a row, nothing else counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := steady(Config{Slow: 100 * time.Millisecond, Consecutive: 2, FailureRate: -1, AllFailed: -1})
			Run(t.Context(), b, take(101*time.Millisecond))
			Run(t.Context(), b, take(100*time.Millisecond))
			Run(t.Context(), b, take(101*time.Millisecond))
			if b.State() != Closed {
				t.Error("opened by one slow call in a row")
			}
			Run(t.Context(), b, take(101*time.Millisecond))
			if b.State() != Open {
				t.Error("two slow calls in a row did not open the breaker")
			}
		})
	})
	t.Run("just in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := steady(Config{Slow: 100 * time.Millisecond, Consecutive: 1})
			Run(t.Context(), b, take(100*time.Millisecond))
			if b.State() != Closed {
				t.Error("a call that took as long as allowed opened the breaker")
			}
			Run(t.Context(), b, take(101*time.Millisecond))
			if b.State() != Open {
				t.Error("a slow call did not open the breaker")
			}
			sleep(5 * time.Second)
			Run(t.Context(), b, take(101*time.Millisecond))
			Run(t.Context(), b, take(101*time.Millisecond))
			if b.State() != Open {
				t.Error("slow trials closed the breaker")
			}
		})
	})
	t.Run("in flight", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := steady(Config{Slow: time.Second, CountInFlight: true})
			start := time.Now()
			var opened time.Duration
			var wg sync.WaitGroup
			for range 300 {
				wg.Go(func() { // a backend that answers nothing, a timeout of half a minute
					Run(t.Context(), b, func(context.Context) error { sleep(30 * time.Second); return context.DeadlineExceeded })
				})
				sleep(10 * time.Millisecond)
				if b.State() == Open && opened == 0 {
					opened = time.Since(start)
				}
			}
			if opened < time.Second || opened > 1260*time.Millisecond {
				t.Errorf("opened after %v, want 1s to 1.25s", opened)
			}
			if r := b.Stats().Reason; !strings.Contains(r, "still running") {
				t.Errorf("reason %q", r)
			}
			wg.Wait()
		})
	})
}

// A mode, kind or state without a name must still print.
func TestStrings(t *testing.T) {
	if got := fmt.Sprint(Auto, ForcedOpen, ForcedClosed, Disabled, Mode(9), Changed, Refused, Overruled, Kind(9)); got !=
		"auto forced open forced closed disabled Mode(9) changed refused overruled Kind(9)" {
		t.Error(got)
	}
}
