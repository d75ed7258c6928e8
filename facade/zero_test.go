package facade_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/internal/archtest"
)

// Each exported type is used here without its constructor. It works, or it panics with
// words that say what to do.
func TestZeroValues(t *testing.T) {
	said := func(f func()) string {
		value, exited := crash(f)
		if err, ok := value.(error); ok || exited {
			return fmt.Sprint("not in words: ", err)
		}
		return fmt.Sprint(value)
	}
	const unmade = " of a Part that is nil, or that no Step, After or In has made"
	var noFacade *facade.Facade[int, int]
	var noPlan *facade.Plan[int]
	var noPart *facade.Part[int]
	var noValues *facade.Values
	made := facade.Step(new(facade.Plan[int]), "made", now[int](1))
	used := map[string][]string{
		"Config": {said(func() { facade.New[int](facade.Config{}) }), "<nil>"},
		"Plan": {said(func() {
			p := new(facade.Plan[int])
			facade.Step(p, "part", now[int](1))
			if _, err := build(t, p, missing).Call(t.Context(), 0); err != nil {
				panic(err)
			}
		}), "<nil>", said(func() { facade.Step(noPlan, "part", now[int](1)) }), "facade: Step of a nil Plan; make one with New",
			said(func() { noPlan.In() }), "facade: In of a nil Plan; make one with New",
			said(func() { facade.Build(noPlan, missing) }), "facade: Build of a nil Plan; make one with New",
			said(func() { facade.After(noPlan, "part", made, now[int](1)) }), "facade: After of a nil Plan; make one with New"},
		"Part": {
			said(func() { noPart.Optional() }), "facade: Optional" + unmade,
			said(func() { new(facade.Part[int]).Timeout(1) }), "facade: Timeout" + unmade,
			said(func() { noPart.Name() }), "facade: Name" + unmade,
			said(func() { noPart.Value(&facade.Values{}) }), "facade: Value" + unmade,
			said(func() { facade.UndoAlways(noPart, made, nil) }), "facade: UndoAlways" + unmade,
			said(func() { facade.Settled(noPart).Value(noValues) }), "facade: Value" + unmade},
		"Values": {
			said(func() { made.Value(noValues) }), "facade: Values that assemble did not get, which have no parts",
			said(func() { made.Result(&facade.Values{}) }), "facade: Values that assemble did not get, which have no parts",
			said(func() { (&facade.Values{}).Missing() }), "<nil>"},
		"Facade": {
			said(func() { noFacade.Call(t.Context(), 0) }), "facade: Call of a Facade that Build has not made",
			said(func() { new(facade.Facade[int, int]).Stats() }), "facade: Stats of a Facade that Build has not made",
			said(func() { noFacade.Mermaid() }), "facade: Mermaid of a Facade that Build has not made",
			said(func() { noFacade.Override("", nil) }), "facade: Override of a Facade that Build has not made"},
		"Error":      {(&facade.Error{}).Error(), "facade: <nil>", fmt.Sprint(errors.Is(&facade.Error{}, errWrong), (&facade.Error{}).Timeout()), "false false"},
		"PanicError": {strings.TrimSpace((&facade.PanicError{}).Error()), "facade: panic: <nil>"},
		"Result":     {fmt.Sprint(facade.Result[int]{}), "{0 ok <nil>}"},
		"Reason":     {facade.Reason{}.String(), " ok: <nil>"},
		"Status":     {facade.Status(0).String(), "ok"},
		"Kind":       {facade.Kind(0).String(), "called"},
		"Event":      {facade.Event{}.LogValue().String(), "[kind=called elapsed=0s]"},
		"Span":       {facade.Span{}.LogValue().String(), "[status=ok start=0s end=0s]"},
		"Stats":      {facade.Stats{}.LogValue().String(), "[]"},
		"PartStats":  {facade.PartStats{}.LogValue().String(), "[]"},
	}
	for _, name := range archtest.Types(t, "facade") {
		if used[name] == nil {
			t.Errorf("%s is not used without its constructor", name)
		}
		for i := 0; i < len(used[name]); i += 2 {
			if got, want := used[name][i], used[name][i+1]; got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

// What takes a context says so if it gets none.
func TestNilContexts(t *testing.T) {
	one := now[int](1)
	f := build(t, func() *facade.Plan[int] {
		p := facade.New[int](facade.Config{})
		facade.Step(p, "part", one)
		return p
	}(), missing)
	for name, call := range map[string]func(context.Context){
		"Call":        func(ctx context.Context) { f.Call(ctx, 0) },
		"First":       func(ctx context.Context) { facade.First(nil, one)(ctx, 0) },
		"Quorum":      func(ctx context.Context) { facade.Quorum(1, nil, one)(ctx, 0) },
		"Each":        func(ctx context.Context) { facade.Each(1, nil, one)(ctx, []int{1}) },
		"EachSettled": func(ctx context.Context) { facade.EachSettled(1, nil, one)(ctx, []int{1}) },
		"Chain":       func(ctx context.Context) { facade.Chain(one)(ctx, 0) },
		"LastGood":    func(ctx context.Context) { facade.LastGood(1, 0, one)(ctx, 0) },
		"Degraded":    func(ctx context.Context) { facade.Degraded(ctx, errWrong) },
	} {
		value, _ := crash(func() { call(nil) })
		if want := "facade: " + name + " with a nil context; context.Background() has no end"; value != want {
			t.Errorf("panicked with %v, want %s", value, want)
		}
	}
}
