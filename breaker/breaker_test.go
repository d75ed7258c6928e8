package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("down")

func fail(context.Context) error    { return errDown }
func succeed(context.Context) error { return nil }

// steady returns a Breaker without jitter.
func steady(cfg Config) *Breaker {
	b := New(cfg)
	b.rand = func() float64 { return 0 }
	return b
}

// sleep lets time pass, and the timers of the last moment too.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// tripped returns a Breaker that has just opened for 5 seconds.
func tripped(t *testing.T, cfg Config) *Breaker {
	t.Helper()
	cfg.Consecutive = 1
	b := steady(cfg)
	Run(t.Context(), b, fail)
	if s := b.State(); s != Open {
		t.Fatalf("state %v after a failure, want open", s)
	}
	return b
}

// TestSteps plays scripts of one-letter steps, each with the state that follows.
// s and f are calls that succeed and fail, i one that is ignored, r one that must
// be refused; a digit is a wait of so many seconds.
func TestSteps(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		cfg          Config
		want         State
	}{
		{"fewer than MinCalls", "fff", Config{MinCalls: 4, Consecutive: -1}, Closed},
		{"MinCalls", "ffff", Config{MinCalls: 4, Consecutive: -1}, Open},
		{"below the rate", "sssfff" + "ssf", Config{MinCalls: 9, Consecutive: -1}, Closed},
		{"at the rate", "sssfff", Config{MinCalls: 6, Consecutive: -1}, Open},
		{"a success does not open it", "fffs", Config{MinCalls: 4, Consecutive: -1}, Closed},
		{"old failures are forgotten", "ff99ff", Config{MinCalls: 4, Consecutive: -1}, Closed},
		{"recent failures are not", "ff9ff", Config{MinCalls: 4, Consecutive: -1}, Open},
		{"ignored calls do not count", "fffiiii", Config{MinCalls: 4, Consecutive: -1}, Closed},
		{"rate off", "ssffffff", Config{MinCalls: 2, FailureRate: -1, Consecutive: -1}, Closed},
		{"all of a few calls", "ffff5f", Config{AllFailed: 5}, Open},
		{"all but one of a few calls", "sffffff", Config{AllFailed: 5}, Closed},
		{"all since the success left the window", "s9ff1fff", Config{AllFailed: 5}, Open},
		{"consecutive", "ffsfff", Config{Consecutive: 3}, Open},
		{"not consecutive", "ffsffsff", Config{Consecutive: 3}, Closed},
		{"not consecutive, and nothing else counts", "ffsffsff", Config{Consecutive: 3, FailureRate: -1}, Closed},
		{"consecutive, and nothing else counts", "ffsfff", Config{Consecutive: 3, FailureRate: -1}, Open},
		{"consecutive across an ignored call", "ffif", Config{Consecutive: 3}, Open},

		{"open refuses", "frr4r", Config{Consecutive: 1}, Open},
		{"half-open", "f5s", Config{Consecutive: 1}, HalfOpen},
		{"two of three close", "f5ss", Config{Consecutive: 1}, Closed},
		{"one flaky trial does not reopen", "f5sfs", Config{Consecutive: 1}, Closed},
		{"two failed trials reopen", "f5ff", Config{Consecutive: 1}, Open},
		{"two of three fail", "f5fsf", Config{Consecutive: 1}, Open},
		{"ignored trials give their place back", "f5iiiiiiss", Config{Consecutive: 1}, Closed},
		{"open time doubles", "f5ff9r1s", Config{Consecutive: 1}, HalfOpen},
		{"and doubles", "f5ff91ff991r", Config{Consecutive: 1, MaxOpenFor: time.Hour}, Open},
		{"up to the maximum", "f5ff8ff8s", Config{Consecutive: 1, MaxOpenFor: 8 * time.Second}, HalfOpen},
		{"starts over after being closed for as long as it was open", "f5ss5sf5s", Config{Consecutive: 1, SlowStart: -1}, HalfOpen},
		{"goes on after less", "f5ss4sf5r", Config{Consecutive: 1, SlowStart: -1}, Open},
		{"one trial", "f5f", Config{Consecutive: 1, Trials: 1}, Open},
		{"all trials needed", "f5ssf", Config{Consecutive: 1, TrialsNeeded: 3}, Open},
		{"the window starts anew after closing", "ffff5ssf", Config{MinCalls: 4, Consecutive: -1, SlowStart: -1}, Closed},
		{"counts start anew after closing", "fff5ssff", Config{Consecutive: 3, SlowStart: -1}, Closed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.cfg.AllFailed == 0 {
					tt.cfg.AllFailed = -1
				}
				b := steady(tt.cfg)
				for i, step := range tt.script {
					if step >= '0' && step <= '9' {
						sleep(time.Duration(step-'0') * time.Second)
						continue
					}
					err := Run(t.Context(), b, func(context.Context) error {
						switch step {
						case 'f':
							return errDown
						case 'i':
							return context.Canceled
						}
						return nil
					})
					if refused := errors.Is(err, ErrOpen); refused != (step == 'r') {
						t.Fatalf("%s: step %d, %c: error %v in state %v", tt.script, i, step, err, b.State())
					}
				}
				if got := b.State(); got != tt.want {
					t.Errorf("%s: %v, want %v", tt.script, got, tt.want)
				}
			})
		})
	}
}

func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, Config{Name: "search"})
		sleep(2 * time.Second)
		err := Run(t.Context(), b, fail)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Name != "search" || e.State != Open || !e.Rejected() || !errors.Is(err, ErrOpen) {
			t.Fatalf("error %#v", err)
		}
		if d := e.RetryAfter(); d != 3*time.Second {
			t.Errorf("RetryAfter %v, want 3s", d)
		}
		if got, want := err.Error(), `breaker "search" is open: 1 calls in a row failed or were slow`; got != want {
			t.Errorf("text %q, want %q", got, want)
		}
		sleep(time.Hour)
		if d := e.RetryAfter(); d != 0 {
			t.Errorf("RetryAfter %v when it is over", d)
		}
	})
}

// What a server asked for in an episode that ended well does not lengthen the next.
func TestRetryAfterOfAnEarlierEpisode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, Config{SlowStart: -1})
		sleep(5 * time.Second)
		p, _ := b.Allow()
		p.done(t.Context(), Failure, time.Minute)
		Run(t.Context(), b, succeed)
		Run(t.Context(), b, succeed)
		sleep(5 * time.Second)
		Run(t.Context(), b, fail)
		if d := b.lastOpen; d != 5*time.Second {
			t.Errorf("open for %v, want 5s", d)
		}
	})
}

func TestOpenTimeIsJittered(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		b := New(Config{Consecutive: 1})
		Run(t.Context(), b, fail)
		d := b.lastOpen
		least, most = min(least, d), max(most, d)
	}
	if least < 4*time.Second || least > 4100*time.Millisecond || most > 5*time.Second || most < 4900*time.Millisecond {
		t.Errorf("open for %v to %v, want evenly 4s to 5s", least, most)
	}
}

func TestDefaultOutcomes(t *testing.T) {
	live := t.Context()
	cancelled, cancel := context.WithCancel(live)
	cancel()
	late, cancel := context.WithTimeout(live, -1)
	defer cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		want Outcome
	}{
		{"nil", live, nil, Success},
		{"nil, though cancelled", cancelled, nil, Success},
		{"error", live, errDown, Failure},
		{"cancelled", cancelled, context.Canceled, Ignored},
		{"cancelled, turned into a string by a driver", cancelled, errors.New("sql: interrupted"), Ignored},
		{"the loser of a hedge", live, fmt.Errorf("get: %w", context.Canceled), Ignored},
		{"a deadline below, which cancelled", live, errors.Join(context.Canceled, context.DeadlineExceeded), Failure},
		{"caller's deadline", late, context.DeadlineExceeded, Failure},
		{"caller's deadline as a string", late, errors.New("sql: timeout"), Failure},
		{"own deadline", live, context.DeadlineExceeded, Failure},
		{"rejected below", live, fmt.Errorf("get: %w", &Error{}), Ignored},
	} {
		if got := new(Config).outcome(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestDoReturnsWhatTheOperationReturns(t *testing.T) {
	b := New(Config{})
	if v, err := Do(t.Context(), b, func(context.Context) (int, error) { return 7, errDown }); v != 7 || err != errDown {
		t.Errorf("got %d, %v", v, err)
	}
	square := Wrap(b, func(_ context.Context, n int) (int, error) { return n * n, nil })
	if v, err := square(t.Context(), 6); v != 36 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
}

// A trial that ends in any of these ways must not leave the breaker half-open for
// good.
func TestTrialsAreNeverLost(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":  func() { panic("boom") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := tripped(t, Config{})
				sleep(5 * time.Second)
				for range 2 {
					done := make(chan any)
					go func() {
						defer func() { done <- recover() }()
						Run(t.Context(), b, func(context.Context) error { end(); return nil })
					}()
					if v := <-done; (v == "boom") != (name == "panic") {
						t.Errorf("recovered %v", v)
					}
				}
				if s := b.State(); s != Open {
					t.Errorf("%v after two trials ended so, want open", s)
				}
			})
		})
	}
	t.Run("never reported", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := tripped(t, Config{})
			sleep(5 * time.Second)
			lost := make([]Permit, 3)
			for i := range lost {
				lost[i], _ = b.Allow()
			}
			if err := Run(t.Context(), b, succeed); !errors.Is(err, ErrOpen) {
				t.Errorf("a fourth trial ran: %v", err)
			}
			sleep(30 * time.Second)
			Run(t.Context(), b, succeed)
			for i := range lost {
				lost[i].Done(Failure) // the first has lost its place, the others count
			}
			if s := b.State(); s != Open {
				t.Errorf("%v, want open: one success, two failures", s)
			}
		})
	})
	t.Run("lease over and the place taken", func(t *testing.T) {
		for _, late := range []Outcome{Success, Failure, Ignored} {
			synctest.Test(t, func(t *testing.T) {
				b := tripped(t, Config{Trials: 1})
				sleep(5 * time.Second)
				first, _ := b.Allow()
				sleep(30 * time.Second)
				second, err := b.Allow()
				if err != nil {
					t.Fatal(err)
				}
				first.Done(late)
				if got, want := b.State(), [...]State{Success: Closed, Failure: Open, Ignored: HalfOpen}[late]; got != want {
					t.Errorf("%v after the late news %v, want %v", got, late, want)
				}
				second.Done(Success)
				if got, want := b.State(), [...]State{Success: Closed, Failure: Open, Ignored: Closed}[late]; got != want {
					t.Errorf("%v in the end, want %v", got, want)
				}
			})
		}
	})
}

// Calls that began before the breaker opened must not decide its half-open state.
func TestLateResultsChangeNothing(t *testing.T) {
	for _, o := range []Outcome{Success, Failure, Ignored} {
		synctest.Test(t, func(t *testing.T) {
			b := steady(Config{Consecutive: 1})
			var early [5]Permit
			for i := range early {
				early[i], _ = b.Allow()
			}
			Run(t.Context(), b, fail)
			sleep(5 * time.Second)
			trial, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			for i := range early {
				early[i].Done(o)
			}
			if s := b.State(); s != HalfOpen {
				t.Errorf("%v after late outcomes %v, want half-open", s, o)
			}
			for range 2 {
				if _, err := b.Allow(); err != nil {
					t.Errorf("late outcomes took a trial's place: %v", err)
				}
			}
			if _, err := b.Allow(); err == nil {
				t.Error("late outcomes gave a place back")
			}
			trial.Done(Success)
		})
	}
}

func TestDoneCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, Config{})
		sleep(5 * time.Second)
		var copied Permit // go vet must not see it
		p, _ := b.Allow()
		move(&copied, &p)
		p.Done(Success)
		p.Done(Success)
		copied.Done(Success)
		if s := b.State(); s != HalfOpen {
			t.Errorf("%v after one trial reported three times, want half-open", s)
		}
		q, _ := b.Allow()
		move(&copied, &q)
		q.Done(Ignored)
		copied.Done(Success)
		if s := b.State(); s != HalfOpen {
			t.Errorf("%v after the copy of an ignored permit, want half-open", s)
		}
	})
	closed := steady(Config{Consecutive: 2})
	p, _ := closed.Allow()
	p.Done(Failure)
	p.Done(Failure)
	if s := closed.State(); s != Closed {
		t.Errorf("%v after one failure reported twice, want closed", s)
	}
	free := steady(Config{Consecutive: 1, FailureRate: -1, AllFailed: -1})
	p, _ = free.Allow()
	p.Done(Success)
	p.Done(Failure)
	if s := free.State(); s != Closed {
		t.Errorf("%v after a success reported anew as a failure, want closed", s)
	}
	new(Permit).Done(Failure) // the permit of a refusal
}

func TestTrialsInFlightNeverExceedTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, Config{SlowStart: -1})
		sleep(5 * time.Second)
		var running, most, ran atomic.Int64
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				Run(t.Context(), b, func(context.Context) error {
					n := running.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					ran.Add(1)
					time.Sleep(time.Second)
					running.Add(-1)
					return errDown
				})
			})
		}
		wg.Wait()
		if most.Load() != 3 || ran.Load() != 3 {
			t.Errorf("%d trials at once, %d in all; want 3", most.Load(), ran.Load())
		}
	})
}

func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, Config{})
		sleep(5 * time.Second)
		Run(t.Context(), b, succeed)
		Run(t.Context(), b, succeed)
		for i := range 10 {
			other, err := b.Allow()
			if err != nil {
				t.Errorf("call %d of ten simultaneous ones was refused: %v", i, err)
			}
			defer other.Done(Success)
		}
		var admitted [6]int
		for i := range admitted {
			for range 100 {
				err := Run(t.Context(), b, succeed)
				if err == nil {
					admitted[i]++
				} else if e, ok := errors.AsType[*Error](err); !ok || e.State != Closed || e.RetryAfter() != 0 {
					t.Fatalf("error %#v", err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		if b.current.Load().path.Load() != admit {
			t.Error("calls still ask when the slow start is over")
		}
		// The share at the middle of each second.
		for i, want := range []int{19, 37, 55, 73, 91, 100} {
			if got := admitted[i]; got < want-1 || got > want+1 {
				t.Errorf("second %d: %d %% admitted, want %d", i, got, want)
			}
		}
	})
}

// A breaker that nobody needs any more leaves nothing behind: a bubble does not end
// while a goroutine runs in it.
func TestStartsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 1000 {
			Run(t.Context(), New(Config{Consecutive: 1}), fail)
		}
	})
}

// An open time of nothing must not make a call open and trial without end.
func TestShortestOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := steady(Config{Consecutive: 1, OpenFor: 1, MaxOpenFor: 1})
		for range 100 {
			if err := Run(t.Context(), b, fail); err != errDown {
				t.Fatal(err)
			}
			sleep(1)
		}
	})
}

// Nothing may be refused while nothing has failed, whatever else happens.
func TestNoRefusalWithoutFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{MinCalls: 1, Consecutive: 1, FailureRate: 0.01})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				for j := range 50 {
					permit, err := b.Allow()
					if err != nil {
						t.Errorf("refused: %v", err)
						return
					}
					time.Sleep(time.Duration((i*7919+j*104729)%5000) * time.Millisecond)
					if (i+j)%3 == 0 {
						permit.Done(Ignored)
					} else {
						permit.Done(Success)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestConfigErrors(t *testing.T) {
	err := Config{
		Window: -1, MinCalls: -1, FailureRate: math.NaN(), OpenFor: time.Hour, MaxOpenFor: time.Minute,
		Trials: 2, TrialsNeeded: 3, TrialLease: -1,
	}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Window", "MinCalls", "FailureRate", "OpenFor", "TrialsNeeded", "TrialLease"} {
		if !strings.Contains(err.Error(), "breaker: Config."+field+" is") {
			t.Errorf("%s is not named in:\n%v", field, err)
		}
	}
	if err := (Config{OpenFor: time.Hour}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{Trials: 1}).Validate(); err != nil {
		t.Error(err)
	}
	defer func() {
		if v, _ := recover().(string); !strings.HasPrefix(v, "breaker: Config.Window") {
			t.Errorf("New panicked with %q", v)
		}
	}()
	New(Config{Window: -1})
}

func TestStateString(t *testing.T) {
	if got := fmt.Sprint(Closed, Open, HalfOpen, State(9)); got != "closed open half-open State(9)" {
		t.Error(got)
	}
}

func TestDoDoesNotAllocate(t *testing.T) {
	ctx := t.Context()
	op := func(context.Context) (int, error) { return 1, nil }
	b := New(Config{})
	if n := testing.AllocsPerRun(1000, func() { Do(ctx, b, op) }); n != 0 {
		t.Errorf("closed: %v allocations", n)
	}
	open := New(Config{Consecutive: 1, OpenFor: time.Hour})
	Run(ctx, open, fail)
	if n := testing.AllocsPerRun(1000, func() { Do(ctx, open, op) }); n != 0 {
		t.Errorf("open: %v allocations", n)
	}
}
