package facade_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

type key struct{}

// A context can be printed at any time, also while the part is left behind: mocks print
// their arguments.
func TestContextsCanBePrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var want, got []string
		print := func(ctx context.Context, s string) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				if s := fmt.Sprintf(verb, ctx); len(got) < len(want)+4 {
					got = append(got, s)
				}
			}
			want = append(want, s, s, s, s)
			derived, cancel := context.WithCancel(context.WithValue(ctx, key{}, 2))
			defer cancel()
			if text := fmt.Sprint(derived); !strings.HasPrefix(text, s) {
				t.Errorf("a context made of it prints as %s", text)
			}
		}
		p := facade.New[int](facade.Config{})
		done := make(chan bool)
		facade.Step(p, "part", func(ctx context.Context, _ int) (int, error) {
			for range 100 {
				_ = fmt.Sprintf("%v %#v", ctx, ctx) // the race detector looks, too
				time.Sleep(ms)
			}
			print(ctx, `facade: context of part "part"`)
			close(done)
			return 1, nil
		}).Timeout(50 * ms).FallbackFunc(func(ctx context.Context, _ error) (int, error) {
			<-done
			print(ctx, "facade: context of a call")
			return 2, nil
		})
		race := facade.First(nil, func(ctx context.Context, _ int) (int, error) {
			print(ctx, "facade: context of one of several")
			return 3, nil
		})
		facade.After(p, "race", facade.Settled(facade.Step(p, "after", takes[int](time.Second, 1))), func(ctx context.Context, _ facade.Result[int]) (int, error) {
			return race(ctx, 0)
		})
		if _, err := build(t, p, missing).Call(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// What a plan makes of the contexts of its parts is what the functions get, with its end
// and its values. It can end badly, as a function can.
func TestContextOfParts(t *testing.T) {
	type key struct{}
	bad := ""
	p := facade.New[int](facade.Config{Context: func(ctx context.Context, part string) context.Context {
		if part == bad {
			panic(errWrong)
		}
		return context.WithValue(ctx, key{}, "span of "+part)
	}})
	reads := func(ctx context.Context, _ int) (string, error) {
		facade.Degraded(ctx, errWrong) // it is still the part's
		s, _ := ctx.Value(key{}).(string)
		return s, nil
	}
	one := facade.Step(p, "one", reads).Timeout(time.Minute)
	two := facade.Step(p, "two", reads)
	f := build(t, p, func(v *facade.Values) (string, error) {
		return fmt.Sprint(one.Value(v), ", ", two.Value(v), ", ", len(v.Missing())), nil
	})
	if got, err := f.Call(t.Context(), 0); got != "span of one, span of two, 2" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	bad = "two"
	value, _ := crash(func() { f.Call(t.Context(), 0) })
	if p, ok := value.(*facade.PanicError); !ok || p.Part != "two" || p.Value != any(errWrong) {
		t.Errorf("panicked with %v", value)
	}
}
