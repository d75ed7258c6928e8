package breaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type timeout struct{ error }

func (timeout) Timeout() bool { return true }

// TestWhoEndedTheContext tries who has ended the context, what was derived from it in
// between, and what an operation makes of it.
func TestWhoEndedTheContext(t *testing.T) {
	endings := map[string]struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		want Outcome
	}{
		"nobody": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(ctx)
		}, Failure},
		"the caller's cancel": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, Ignored},
		"the caller's cancel, with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errors.New("the tab was closed"))
			return ctx, func() {}
		}, Ignored},
		"a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, -1)
		}, Failure},
		"a deadline, with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, -1, errors.New("the page's budget"))
		}, Failure},
		"the timeout of an attempt": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(fmt.Errorf("attempt: %w", timeout{errors.New("took too long")}))
			return ctx, func() {}
		}, Failure},
	}
	layers := map[string]func(context.Context) (context.Context, context.CancelFunc){
		"nothing": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"a value": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithValue(ctx, timeout{}, 1), func() {}
		},
		"a cancel": func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) },
		"a deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		},
	}
	drivers := map[string]func(context.Context) error{
		"as it is":    func(ctx context.Context) error { return ctx.Err() },
		"wrapped":     func(ctx context.Context) error { return fmt.Errorf("query: %w", ctx.Err()) },
		"as a string": func(context.Context) error { return errors.New("driver: interrupted") },
	}
	b := New(Config{})
	for who, ending := range endings {
		for layer, derive := range layers {
			for how, driver := range drivers {
				ctx, cancel := ending.end(t.Context())
				ctx, release := derive(ctx)
				if ctx.Err() != nil || how == "as a string" {
					if got := b.Outcome(ctx, driver(ctx)); got != ending.want {
						t.Errorf("ended by %s, %s in between, the error %s: %v, want %v", who, layer, how, got, ending.want)
					}
				}
				release()
				cancel()
			}
		}
	}
}

// A Classify decides about what it knows, and about nothing else.
func TestClassifyNeedNotRepeatTheRules(t *testing.T) {
	errNoRows := errors.New("no rows")
	asked := 0
	b := New(Config{Classify: func(_ context.Context, err error) Outcome {
		asked++
		if errors.Is(err, errNoRows) {
			return Success
		}
		if errors.Is(err, context.Canceled) {
			return Failure
		}
		return Default
	}})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx   context.Context
		err   error
		want  Outcome
		asked int
	}{
		{t.Context(), nil, Success, 1},
		{t.Context(), errDown, Failure, 1},
		{t.Context(), fmt.Errorf("get: %w", errNoRows), Success, 1},
		{t.Context(), context.Canceled, Failure, 1}, // the backend's: nobody here has cancelled
		{cancelled, context.Canceled, Ignored, 0},
		{t.Context(), &Error{}, Ignored, 0},
		{cancelled, nil, Success, 1},
	} {
		asked = 0
		if got := b.Outcome(tt.ctx, tt.err); got != tt.want || asked != tt.asked {
			t.Errorf("%v: %v, asked %d times; want %v, %d times", tt.err, got, asked, tt.want, tt.asked)
		}
	}
}

// A Breaker made outside of a bubble, a package's variable, opens for as long as
// inside: clocks in a bubble begin long ago.
func TestBreakerOfAnotherBubble(t *testing.T) {
	b := steady(Config{Consecutive: 1})
	synctest.Test(t, func(t *testing.T) {
		Run(t.Context(), b, fail)
		if b.lastOpen != 5*time.Second {
			t.Errorf("open for %v", b.lastOpen)
		}
		sleep(5 * time.Second)
		Run(t.Context(), b, succeed)
		Run(t.Context(), b, succeed)
		if b.State() != Closed {
			t.Errorf("%v", b.State())
		}
	})
}

// A duration that stands for "never" is no overflow.
func TestLongestTimes(t *testing.T) {
	const never = time.Duration(1<<63 - 1)
	synctest.Test(t, func(t *testing.T) {
		b := tripped(t, Config{TrialLease: never})
		sleep(5 * time.Second)
		admitted := 0
		for range 100 {
			if _, err := b.Allow(); err == nil {
				admitted++
			}
		}
		if admitted != 3 {
			t.Errorf("%d of 100 calls admitted as trials", admitted)
		}
		b.Trip(never, nil)
		var e *Error
		if err := Run(t.Context(), b, succeed); !errors.As(err, &e) || e.RetryAfter() < never-time.Hour || b.Stats().NextTrial.IsZero() {
			t.Errorf("%v: RetryAfter %v, next trial %v", err, e.RetryAfter(), b.Stats().NextTrial)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := steady(Config{Consecutive: 1, OpenFor: never, SlowStart: never})
		time.Sleep(time.Hour)
		p, _ := b.Allow()
		p.done(t.Context(), Failure, never)
		if s := b.Stats(); s.State != Open || time.Until(s.NextTrial) < never-2*time.Hour {
			t.Errorf("%v, next trial in %v", s.State, time.Until(s.NextTrial))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := steady(Config{Consecutive: 1, MaxOpenFor: never})
		time.Sleep(time.Hour)
		p, _ := b.Allow()
		p.done(t.Context(), Failure, never) // a Retry-After
		if d := time.Until(b.Stats().NextTrial); d < never-2*time.Hour {
			t.Errorf("next trial in %v", d)
		}
	})
}

// A copy that is done too takes a count away, and never one that is not there.
func TestCopiesDoNotOpenABreakerThatCountsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Slow: time.Second, CountInFlight: true})
		for range 3 {
			var q Permit
			p, _ := b.Allow()
			move(&q, &p)
			p.Done(Success)
			q.Done(Success)
			sleep(2 * time.Second)
		}
		if s := b.Stats(); s.State != Closed || s.Overdue != 0 {
			t.Errorf("%v, %d overdue", s.State, s.Overdue)
		}
		if _, err := b.Allow(); err != nil {
			t.Error(err)
		}
	})
}

// On the goroutine of a timer there is no caller to reach: what Observe does there is
// counted, and ends nothing.
func TestObserveThatEndsBadlyOnATimerIsCounted(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("observer") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := steady(Config{Consecutive: 1, Trials: 1, Observe: func(_ context.Context, e Event) {
					if e.Kind == Changed && e.Transition.To == HalfOpen {
						end()
					}
				}})
				for range 2 {
					Run(t.Context(), b, fail)
					sleep(time.Minute)
				}
				if s := b.Stats(); s.State != HalfOpen || s.Panics != 2 {
					t.Errorf("%v, counted %d, want half-open, 2", s.State, s.Panics)
				}
				if err := Run(t.Context(), b, succeed); err != nil || b.State() != Closed {
					t.Errorf("%v, %v", err, b.State())
				}
			})
		})
	}
}

func TestObserversPanicReachesTheCaller(t *testing.T) {
	recovered := func(f func()) (v any) {
		defer func() { v = recover() }()
		f()
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		broken := true
		b := steady(Config{Consecutive: 1, Trials: 1, Observe: func(context.Context, Event) {
			if broken {
				panic("observer")
			}
		}})
		p, _ := b.Allow()
		if v := recovered(func() { p.Done(Failure) }); v != "observer" {
			t.Errorf("recovered %v", v)
		}
		p.Done(Failure) // has been given back
		if v := recovered(func() { Run(t.Context(), b, succeed) }); v != "observer" {
			t.Errorf("of a refusal: recovered %v", v)
		}
		sleep(5 * time.Second) // half-open: told on the goroutine of a timer
		if s := b.Stats(); s.State != HalfOpen || s.Panics != 1 {
			t.Errorf("%v, %d panics of a timer, want half-open, 1", s.State, s.Panics)
		}
		if v := recovered(func() { Run(t.Context(), b, succeed) }); v != "observer" || b.State() != Closed {
			t.Errorf("recovered %v, %v", v, b.State())
		}
		if n := b.current.Load().running.Load(); n != 0 {
			t.Errorf("%d calls under way", n)
		}
	})
}

func TestTexts(t *testing.T) {
	b := steady(Config{Name: "users", Consecutive: 1})
	Run(t.Context(), b, fail)
	s := b.Stats()
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"State":"open","Mode":"auto"`) || !strings.Contains(string(text), `"From":"closed","To":"open"`) {
		t.Errorf("%s, %v", text, err)
	}
	if text, _ := Refused.MarshalText(); string(text) != "refused" {
		t.Errorf("%s", text)
	}
	log := func(v any) string {
		var out strings.Builder
		slog.New(slog.NewTextHandler(&out, nil)).Info("", "x", v)
		_, rest, _ := strings.Cut(out.String(), `msg="" `)
		return strings.TrimSpace(rest)
	}
	change := s.Transitions[0]
	for _, tt := range []struct {
		v    any
		want string
	}{
		{Event{Kind: Changed, Name: "users", Transition: change}, `x.kind=changed x.name=users x.from=closed x.to=open x.reason="1 calls in a row failed or were slow" x.calls=1 x.failed=1`},
		{Event{Kind: Refused, Err: errDown}, `x.kind=refused x.err=down`},
		{Event{Kind: Overruled, Name: "users"}, `x.kind=overruled x.name=users`},
		{change, `x.from=closed x.to=open x.reason="1 calls in a row failed or were slow" x.calls=1 x.failed=1`},
		{&Error{Name: "users", State: HalfOpen, Cause: errDown}, `x.name=users x.state=half-open x.cause=down`},
		{Stats{Name: "users", Mode: Disabled, Reason: "disabled", InARow: 1, Overdue: 2, Panics: 3}, `x.name=users x.state=closed x.mode=disabled x.since=0001-01-01T00:00:00.000Z x.in_a_row=1 x.overdue=2 x.panics=3 x.reason=disabled`},
		{Stats{Calls: 9, Failed: 1, Slow: 2, Ignored: 3, Refused: 4, Overruled: 5, Trials: 6, Opened: 7, Window: Counts{Calls: 8}},
			`x.state=closed x.since=0001-01-01T00:00:00.000Z x.calls=9 x.failed=1 x.slow=2 x.ignored=3 x.refused=4 x.overruled=5 x.trials=6 x.opened=7 x.window.calls=8 x.reason=""`},
		{SetStats{Name: "shard of", Keys: 3, Evicted: 2}, `x.name="shard of" x.keys=3 x.evicted=2`},
	} {
		if got := log(tt.v); got != tt.want {
			t.Errorf("%T: %s\nwant %s", tt.v, got, tt.want)
		}
	}
	if got := log(s); !strings.Contains(got, "x.next_trial=") || strings.Contains(got, "mode") {
		t.Error(got)
	}
	if got := fmt.Sprint(Default, Success, Failure, Ignored, Outcome(9)); got != "default success failure ignored Outcome(9)" {
		t.Error(got)
	}
}

// Stats say why a breaker is not open, whatever may open it.
func TestReasons(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "the last 1 calls failed or were slow, 5 would open it"},
		{Config{AllFailed: -1}, "1 of at least 20 calls in the window"},
		{Config{AllFailed: -1, MinCalls: 1, FailureRate: 1}, "1 of 2 calls failed, 0 were slow"},
		{Config{AllFailed: -1, FailureRate: -1}, "the last 1 calls failed or were slow, 20 would open it"},
		{Config{AllFailed: -1, FailureRate: -1, Consecutive: -1}, "nothing opens it but Trip and Force"},
	} {
		b := New(tt.cfg)
		if tt.cfg.MinCalls == 1 {
			Run(t.Context(), b, succeed)
		}
		Run(t.Context(), b, fail)
		if got := b.Stats().Reason; got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
