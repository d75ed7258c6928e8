package loadbalance_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

type (
	endpoint = loadbalance.Endpoint[int]
	balancer = loadbalance.Balancer[int]
	pick     = loadbalance.Pick[int]
	result   = loadbalance.Result
)

var (
	good   = result{}
	failed = result{Err: errors.New("it failed")}
)

// numbers returns the endpoints 0 to n-1.
func numbers(n int) []endpoint {
	set := make([]endpoint, n)
	for i := range set {
		set[i] = endpoint{Key: strconv.Itoa(i), Value: i}
	}
	return set
}

// fixed returns a balancer of n endpoints that behaves the same each time.
func fixed(n int, cfg loadbalance.Config) *balancer {
	var mu sync.Mutex
	pcg := rand.NewPCG(1, 2)
	return loadbalance.NewSeeded(loadbalance.Static(numbers(n)...), cfg, func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return pcg.Uint64()
	})
}

// picked is one pick that must succeed.
func picked(t *testing.T, b *balancer) *pick {
	t.Helper()
	p, err := b.Pick(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// one is a pick, and a call that ends at once.
func one(t *testing.T, b *balancer, r result) int {
	t.Helper()
	p := picked(t, b)
	p.Done(r)
	return p.Value()
}

// counts is how many of so many calls, one after the other, went where.
func counts(t *testing.T, b *balancer, n, calls int) []int {
	t.Helper()
	count := make([]int, n)
	for range calls {
		count[one(t, b, good)]++
	}
	return count
}

// stats returns what is known about an endpoint.
func stats(t *testing.T, b *balancer, key string) loadbalance.EndpointStats {
	t.Helper()
	for _, e := range b.Stats().Endpoints {
		if e.Key == key {
			return e
		}
	}
	t.Fatalf("no endpoint %s", key)
	return loadbalance.EndpointStats{}
}

func TestDo(t *testing.T) {
	b := fixed(1, loadbalance.Config{})
	broken := errors.New("broken")
	for _, want := range []error{nil, broken} {
		got, err := loadbalance.Do(t.Context(), b, func(_ context.Context, v int) (string, error) {
			if n := stats(t, b, "0").InFlight; n != 1 {
				t.Errorf("%d in flight", n)
			}
			return "v" + strconv.Itoa(v), want
		})
		if got != "v0" || err != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := loadbalance.Run(t.Context(), b, func(context.Context, int) error { return broken }); err != broken {
		t.Error(err)
	}
	fn := loadbalance.Wrap(b, func(_ context.Context, v int, in string) (string, error) { return in + strconv.Itoa(v), nil })
	if got, err := fn(t.Context(), "x"); got != "x0" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if s := stats(t, b, "0"); s.InFlight != 0 || s.FailureRate == 0 {
		t.Errorf("%+v", s)
	}
}

// A panic and a Goexit are failures, and give the place back.
func TestDoPanics(t *testing.T) {
	for name, leave := range map[string]func(){"panic": func() { panic("p") }, "Goexit": runtime.Goexit} {
		b := fixed(1, loadbalance.Config{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { recover() }()
			loadbalance.Run(t.Context(), b, func(context.Context, int) error { leave(); return nil })
		}()
		<-done
		if s := stats(t, b, "0"); s.InFlight != 0 || s.FailureRate == 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestDoneTwice(t *testing.T) {
	b := fixed(1, loadbalance.Config{})
	p := picked(t, b)
	other := picked(t, b)
	p.Done(good)
	p.Done(failed)
	p.Answered(failed)
	if s := stats(t, b, "0"); s.InFlight != 1 || s.FailureRate != 0 {
		t.Errorf("%+v", s)
	}
	other.Answered(good)
	other.Answered(failed)
	if s := stats(t, b, "0"); s.InFlight != 1 || s.FailureRate != 0 {
		t.Errorf("%+v", s)
	}
	other.Done(good)
	if s := stats(t, b, "0"); s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
	new(pick).Done(good) // of nothing
}

// What the caller has cancelled, and what another layer refused, is nobody's failure; a
// deadline is one. The cause of the context says which of them it was, through every
// context that is derived from it, before the error does.
func TestOutcome(t *testing.T) {
	ended := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		derived, done := context.WithTimeout(ctx, time.Minute)
		t.Cleanup(done)
		return derived
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		want loadbalance.Outcome
	}{
		{"no error", t.Context(), nil, loadbalance.Success},
		{"no error, though the context has ended", late, nil, loadbalance.Success},
		{"canceled", t.Context(), context.Canceled, loadbalance.Ignored},
		{"canceled, wrapped", t.Context(), &url.Error{Op: "Get", URL: "u", Err: context.Canceled}, loadbalance.Ignored},
		{"canceled, in the driver's words", ended(nil), errors.New("operation was canceled"), loadbalance.Ignored},
		{"canceled with a cause", ended(errors.New("the page was closed")), context.Canceled, loadbalance.Ignored},
		{"the deadline of an attempt", ended(context.DeadlineExceeded), context.Canceled, loadbalance.Failure},
		{"the same, in the driver's words", ended(context.DeadlineExceeded), errors.New("operation was canceled"), loadbalance.Failure},
		{"deadline", late, context.DeadlineExceeded, loadbalance.Failure},
		{"deadline, in the driver's words", late, errors.New("canceled"), loadbalance.Failure},
		{"refused below", t.Context(), &loadbalance.Error{Err: loadbalance.ErrOverloaded}, loadbalance.Ignored},
		{"refused below, too late", late, fmt.Errorf("no time: %w", &loadbalance.Error{Err: loadbalance.ErrOverloaded}), loadbalance.Ignored},
		{"another error", t.Context(), errors.New("reset"), loadbalance.Failure},
	} {
		b := fixed(2, loadbalance.Config{EjectAfter: 1})
		if got := b.Outcome(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Do makes of an error what Outcome says.
func TestDoUsesOutcome(t *testing.T) {
	for cause, want := range map[error]bool{context.Canceled: false, context.DeadlineExceeded: true} {
		b := fixed(2, loadbalance.Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		loadbalance.Run(ctx, b, func(context.Context, int) error { cancel(cause); return errors.New("canceled") })
		if got := stats(t, b, "0").FailureRate+stats(t, b, "1").FailureRate > 0; got != want {
			t.Errorf("%v: a failure: %v", cause, got)
		}
	}
}

// Classify decides what it knows about, and leaves the rest to the rules. It is not
// asked about what says nothing.
func TestClassify(t *testing.T) {
	notFound, busy := errors.New("no rows"), errors.New("busy")
	b := fixed(2, loadbalance.Config{Classify: func(_ context.Context, err error) loadbalance.Outcome {
		switch {
		case errors.Is(err, context.Canceled):
			t.Error("asked about a cancel")
		case errors.Is(err, notFound):
			return loadbalance.Success
		case errors.Is(err, busy):
			return loadbalance.Overload
		}
		return loadbalance.Default
	}})
	for err, want := range map[error]loadbalance.Outcome{
		nil: loadbalance.Success, notFound: loadbalance.Success, busy: loadbalance.Overload,
		errors.New("reset"): loadbalance.Failure, context.Canceled: loadbalance.Ignored,
	} {
		if got := b.Outcome(t.Context(), err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
	for range 20 {
		loadbalance.Run(t.Context(), b, func(context.Context, int) error { return notFound })
	}
	if s := b.Stats().Endpoints; s[0].FailureRate+s[1].FailureRate > 0 {
		t.Errorf("%+v", s)
	}
}

// A context that has ended sends nothing anywhere, and is no endpoint's failure.
func TestEndedContext(t *testing.T) {
	b := fixed(3, loadbalance.Config{Name: "orders"})
	passed, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	why := errors.New("the page was closed")
	closed, leave := context.WithCancelCause(t.Context())
	leave(why)
	for ctx, want := range map[context.Context]error{passed: context.DeadlineExceeded, closed: why} {
		for range 20 {
			err := loadbalance.Run(ctx, b, func(context.Context, int) error { t.Error("called"); return nil })
			e, ok := errors.AsType[*loadbalance.Error](err)
			if !ok || !e.Rejected() || !errors.Is(err, want) || !errors.Is(err, ctx.Err()) || e.Timeout() != (ctx == passed) {
				t.Fatalf("%v", err)
			}
		}
	}
	for _, e := range b.Stats().Endpoints {
		if e.State != loadbalance.Healthy || e.FailureRate != 0 || e.InFlight != 0 {
			t.Errorf("%+v", e)
		}
	}
}

// An answer counts at once, and turns into a failure only if the rest fails: then the
// row of failures goes on as if the answer had not been.
func TestAnsweredCounts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(2, loadbalance.Config{EjectAfter: 3, EjectRate: -1, EjectFor: time.Second})
		target := loadbalance.Hint{Exclude: []string{"1"}}
		call := func(answer, end result) {
			t.Helper()
			p, err := b.PickWith(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			p.Answered(answer)
			p.Done(end)
		}
		ignored := result{Outcome: loadbalance.Ignored}
		call(good, failed)
		call(good, failed)
		call(ignored, good) // it was not known yet: this is a success
		call(good, failed)
		call(good, ignored)
		call(failed, good)    // after a failure nothing more counts
		call(ignored, failed) // it was not known yet: this is a failure
		inState(t, b, "0", loadbalance.Healthy, "")
		call(good, failed)
		inState(t, b, "0", loadbalance.Ejected, "3 calls in a row")

		time.Sleep(time.Second)
		synctest.Wait()
		due(t, b)
		trial := picked(t, b)
		trial.Answered(good)
		inState(t, b, "0", loadbalance.SlowStart, "its trial succeeded")
		trial.Done(failed)
		inState(t, b, "0", loadbalance.Ejected, "after a good answer")
		if s := stats(t, b, "0"); s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A first pick waits for the first set, and no longer than its context; one with a
// deadline once hung until the first DNS answer in another library.
func TestFirstPickWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{})
		defer b.Close()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Pick(ctx)
		e, ok := errors.AsType[*loadbalance.Error](err)
		if !ok || !e.Rejected() || !e.Timeout() || !errors.Is(err, loadbalance.ErrNoEndpoints) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("it took %v", d)
		}
		go func() {
			time.Sleep(time.Minute)
			src.set(numbers(1)...)
		}()
		picked(t, b)
		if d := time.Since(begin); d != time.Minute+time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// A source that has an error to begin with does not keep anybody waiting.
func TestFirstSetFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{})
		defer b.Close()
		lost := errors.New("no such host")
		src.fail(lost)
		if _, err := b.Pick(t.Context()); !errors.Is(err, loadbalance.ErrNoEndpoints) || !errors.Is(err, lost) {
			t.Errorf("%v", err)
		}
		src.set(numbers(1)...)
		picked(t, b)
	})
}

func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T) { // which fails if a goroutine is left
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{EjectAfter: 1})
		b.Check(func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() })
		waiting := make(chan error)
		go func() {
			_, err := b.Pick(t.Context())
			waiting <- err
		}()
		synctest.Wait()
		b.Close()
		if err := <-waiting; !errors.Is(err, loadbalance.ErrClosed) {
			t.Errorf("waiting: %v", err)
		}

		src = newFeed()
		b = loadbalance.New(src, loadbalance.Config{EjectAfter: 1})
		src.set(numbers(3)...)
		b.Check(func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() })
		p := picked(t, b)
		b.Close()
		b.Close()
		if _, err := b.Pick(t.Context()); !errors.Is(err, loadbalance.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		p.Done(failed)
	})
}

// Static sources start no goroutine, and need no Close.
func TestStaticStartsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(3, loadbalance.Config{EjectAfter: 1, SlowStart: time.Hour})
		for range 10 {
			one(t, b, failed)
		}
	})
}

func TestInvalid(t *testing.T) {
	err := loadbalance.Config{Decay: -1, CheckPasses: -1, MaxInFlight: 1_000_001, MaxEjected: 2, Panic: 1.5, EjectFor: time.Hour, MaxEjectFor: 1}.Validate()
	if errs, ok := err.(interface{ Unwrap() []error }); !ok || len(errs.Unwrap()) != 6 {
		t.Errorf("%v", err)
	}
	defer func() {
		if s, ok := recover().(string); !ok || s[:12] != "loadbalance:" {
			t.Errorf("it panicked with %q", s)
		}
	}()
	loadbalance.New(loadbalance.Static(numbers(1)...), loadbalance.Config{MaxInFlight: -1})
}
