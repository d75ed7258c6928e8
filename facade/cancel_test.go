package facade_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

// A sibling that fails because it was cancelled never takes the place of the cause,
// however fast it is.
func TestCauseIsNotASiblingsCancellation(t *testing.T) {
	for range 200 {
		p := facade.New[int](facade.Config{})
		for i := range 8 {
			facade.Step(p, fmt.Sprint("sibling ", i), takes[int](time.Hour, 1))
		}
		facade.Step(p, "price", now[int](1))
		facade.Step(p, "stock", fails[int, int](0, errWrong))
		_, err := build(t, p, missing).Call(t.Context(), 0)
		if e := err.(*facade.Error); e.Part != "stock" || e.Err != errWrong {
			t.Fatalf("failed with %v of %q, want that of stock", e.Err, e.Part)
		}
	}
}

// The contexts of siblings say which part has failed, and of what.
func TestCancelCauseNamesThePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{Name: "page"})
		var cause error
		facade.Step(p, "stock", func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			if ctx.Err() != context.Canceled {
				t.Errorf("the context's error is %v", ctx.Err())
			}
			cause = context.Cause(ctx)
			return 0, ctx.Err()
		})
		facade.Step(p, "price", fails[int, int](20*ms, errWrong))
		begin := time.Now()
		_, err := build(t, p, missing).Call(t.Context(), 0)
		if time.Since(begin) != 20*ms {
			t.Errorf("took %v, want 20ms", time.Since(begin))
		}
		if !errors.Is(cause, errWrong) || cause.Error() != `facade "page": price: wrong` {
			t.Errorf("the cause is %v", cause)
		}
		e := err.(*facade.Error)
		if len(e.Others) != 1 || e.Others[0].String() != `stock cancelled: facade "page": price: wrong` {
			t.Errorf("the others are %v", e.Others)
		}
	})
}

// The first error is the cause, and the others are kept.
func TestAllErrorsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := facade.New[int](facade.Config{})
		facade.Step(p, "a", fails[int, int](2*ms, errors.New("a is down"))).Optional()
		facade.Step(p, "b", fails[int, int](3*ms, errWrong))
		facade.Step(p, "c", ignores[int](4*ms, 0, errors.New("c is down")))
		_, err := build(t, p, missing).Call(t.Context(), 0)
		e, ok := errors.AsType[*facade.Error](err)
		if !ok || e.Part != "b" || fmt.Sprint(e.Others) != "[a failed: a is down c cancelled: c is down]" {
			t.Errorf("got %v, others %v", err, e.Others)
		}
	})
}

// A part's context ends with the call, the caller's does not, and a part gets a
// context that is really cancelled.
func TestContexts(t *testing.T) {
	type key struct{}
	for _, asked := range []bool{false, true} {
		p := facade.New[int](facade.Config{})
		var kept []context.Context
		keep := func(ctx context.Context, _ int) (int, error) {
			if ctx.Value(key{}) != "caller's" || ctx.Err() != nil || context.Cause(ctx) != nil {
				t.Error("the context is not the caller's, or has ended")
			}
			if asked {
				select {
				case <-ctx.Done():
					t.Error("the context has ended")
				default:
				}
			}
			kept = append(kept, ctx)
			return 0, nil
		}
		one := facade.Step(p, "one", keep)
		two := facade.After(p, "two", one, keep).Timeout(time.Hour)
		facade.After(p, "three", two, func(ctx context.Context, _ int) (int, error) {
			if deadline, ok := ctx.Deadline(); ok {
				t.Errorf("there is a deadline: %v", deadline)
			}
			return keep(ctx, 0)
		})
		ctx := context.WithValue(t.Context(), key{}, "caller's")
		if _, err := build(t, p, missing).Call(ctx, 0); err != nil {
			t.Fatal(err)
		}
		for i, c := range kept {
			select {
			case <-c.Done():
			default:
				t.Errorf("the context of part %d goes on", i)
			}
			if c.Err() != context.Canceled || context.Cause(c) != context.Canceled {
				t.Errorf("part %d: %v, %v", i, c.Err(), context.Cause(c))
			}
		}
		if len(kept) != 3 || ctx.Err() != nil {
			t.Errorf("%d contexts; the caller's: %v", len(kept), ctx.Err())
		}
	}
}

// The caller who gives up gets no answer, and what was done is undone.
func TestCancelledCaller(t *testing.T) {
	errGone := errors.New("the client has gone")
	for _, tt := range []struct {
		name    string
		last    func(context.Context, int) (int, error)
		elapsed time.Duration
	}{
		{"obeyed", takes[int](time.Hour, 1), 5 * ms},
		{"ignored", ignores[int](9*ms, 1, nil), 10 * ms},
		{"not begun", nil, 7 * ms},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var log log
			p := facade.New[int](facade.Config{})
			first := facade.Step(p, "first", takes[int](ms, 1)).Undo(log.undoes("first"))
			if tt.last == nil {
				middle := facade.After(p, "middle", first, ignores[int](6*ms, 1, nil))
				facade.After(p, "last", middle, takes[int](ms, 1))
			} else {
				facade.After(p, "last", first, tt.last).Optional()
				facade.After(p, "more", first, takes[int](10*ms, 1)).Optional()
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(5*ms, func() { cancel(errGone) })
			begin := time.Now()
			_, err := build(t, p, missing).Call(ctx, 0)
			if !errors.Is(err, errGone) || log.String() != "undo first" {
				t.Errorf("got %v; %v", err, &log)
			}
			if d := time.Since(begin); d != tt.elapsed {
				t.Errorf("took %v, want %v", d, tt.elapsed)
			}
		})
	}
}

// A call whose functions all return values has its answer, whether or not the caller has
// given up meanwhile: it is no failure, and nothing is undone. If the cancellation keeps
// any part from its end, required or not, the call fails.
func TestCancelledCallWithAnAnswer(t *testing.T) {
	errGone := errors.New("the client has gone")
	for _, tt := range []struct {
		name  string
		plan  func(p *facade.Plan[int], first *facade.Part[int])
		fails bool
	}{
		{"a value", func(p *facade.Plan[int], first *facade.Part[int]) {
			facade.After(p, "last", first, ignores[int](9*ms, 1, nil))
		}, false},
		{"values of several", func(p *facade.Plan[int], first *facade.Part[int]) {
			facade.After(p, "last", first, ignores[int](9*ms, 1, nil))
			facade.After(p, "more", first, ignores[int](7*ms, 1, nil)).Optional().Timeout(time.Hour)
		}, false},
		{"an error", func(p *facade.Plan[int], first *facade.Part[int]) {
			facade.After(p, "last", first, ignores[int](9*ms, 0, errWrong))
		}, true},
		{"an error of one that is optional", func(p *facade.Plan[int], first *facade.Part[int]) {
			facade.After(p, "last", first, ignores[int](9*ms, 0, errWrong)).Optional()
		}, true},
		{"an error, and a fallback", func(p *facade.Plan[int], first *facade.Part[int]) {
			facade.After(p, "last", first, ignores[int](9*ms, 0, errWrong)).Fallback(1)
		}, true},
		{"one more to begin", func(p *facade.Plan[int], first *facade.Part[int]) {
			last := facade.After(p, "last", first, ignores[int](9*ms, 1, nil))
			facade.After(p, "more", last, now[int](1)).Optional()
		}, true},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var log log
			p := facade.New[int](facade.Config{})
			first := facade.Step(p, "first", takes[int](ms, 1)).Undo(log.undoes("first"))
			tt.plan(p, first)
			f := build(t, p, func(v *facade.Values) (int, error) { return 7 + len(v.Missing()), nil })
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(5*ms, func() { cancel(errGone) })
			v, err := f.Call(ctx, 0)
			if tt.fails && (!errors.Is(err, errGone) || v != 0 || log.String() != "undo first") ||
				!tt.fails && (err != nil || v != 7 || log.String() != "") {
				t.Errorf("got %d, %v; %v", v, err, &log)
			}
			if s := f.Stats(); s.Calls != 1 || (s.Failed == 1) != tt.fails || s.Partial != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// A context that has ended before the call is no reason to call anything.
func TestEndedContext(t *testing.T) {
	var observed facade.Event
	p := facade.New[int](facade.Config{Observe: func(_ context.Context, e facade.Event) { observed = e }})
	facade.Step(p, "part", func(context.Context, int) (int, error) {
		t.Error("called")
		return 0, nil
	}).Fallback(1)
	f := build(t, p, missing)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errWrong)
	_, err := f.Call(ctx, 0)
	if !errors.Is(err, errWrong) || !err.(*facade.Error).Rejected() || observed.Err != err {
		t.Errorf("got %v, observed %v", err, observed)
	}
	if s := f.Stats(); s.Calls != 0 || s.Refused != 1 {
		t.Errorf("counted %+v", s)
	}
}

// Calls share nothing but the plan: one that is cancelled, or carries another user's
// identity, is nothing to the others.
func TestCallsDoNotShareContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type user struct{}
		p := facade.New[int](facade.Config{})
		who := facade.Step(p, "who", func(ctx context.Context, d int) (string, error) {
			time.Sleep(time.Duration(d) * ms)
			return ctx.Value(user{}).(string), ctx.Err()
		})
		f := build(t, p, func(v *facade.Values) (string, error) { return who.Value(v), nil })
		alice, cancel := context.WithCancel(context.WithValue(t.Context(), user{}, "alice"))
		go func() {
			if _, err := f.Call(alice, 5); err == nil {
				t.Error("the cancelled call succeeded")
			}
		}()
		time.AfterFunc(2*ms, cancel)
		if s, err := f.Call(context.WithValue(t.Context(), user{}, "bob"), 9); s != "bob" || err != nil {
			t.Errorf("got %q, %v", s, err)
		}
	})
}

// Where a part was the reason, what its error tells other packages is found.
func TestErrorMethods(t *testing.T) {
	p := facade.New[int](facade.Config{Name: "page"})
	facade.Step(p, "part", fails[int, int](0, statusError(http.StatusTeapot)))
	_, err := build(t, p, missing).Call(t.Context(), 0)
	e, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err)
	if !ok || e.HTTPStatusCode() != http.StatusTeapot {
		t.Errorf("the status is lost in %v", err)
	}
	if f := err.(*facade.Error); f.Rejected() || f.Timeout() || !strings.HasPrefix(f.Error(), `facade "page": part: 418`) {
		t.Errorf("got %v", f)
	}
}

type statusError int

func (e statusError) Error() string       { return fmt.Sprint(int(e)) }
func (e statusError) HTTPStatusCode() int { return int(e) }
