package facade_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
)

func TestLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var err error
		get := facade.LastGood(2, time.Hour, func(_ context.Context, in int) (int, error) { return in * in, err })
		ask := func(in, want int, wantErr error) {
			t.Helper()
			if v, err := get(t.Context(), in); wantErr == nil && v != want || err != wantErr {
				t.Errorf("%d: got %d, %v; want %d, %v", in, v, err, want, wantErr)
			}
		}
		for _, in := range []int{1, 2, 3} {
			ask(in, in*in, nil)
		}
		err = errWrong
		ask(1, 0, errWrong) // of three, two are kept
		ask(2, 4, nil)
		ask(3, 9, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := get(ctx, 2); err != errWrong {
			t.Errorf("cancelled: %v", err)
		}
		time.Sleep(time.Hour)
		ask(2, 4, nil)
		time.Sleep(time.Nanosecond)
		ask(2, 0, errWrong)
	})
}

// A slow old answer does not take the place of a newer one.
func TestLastGoodIsOfTheCallThatBeganLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		get := facade.LastGood(8, 0, func(context.Context, string) (int, error) {
			n++
			switch n {
			case 1:
				time.Sleep(time.Second) // and is the last to return
				return 1, nil
			case 2:
				return 2, nil
			}
			return 0, errWrong
		})
		go get(t.Context(), "key")
		synctest.Wait()
		get(t.Context(), "key")
		time.Sleep(time.Minute)
		if v, err := get(t.Context(), "key"); v != 2 || err != nil {
			t.Errorf("got %d, %v; 2 was newer than 1", v, err)
		}
	})
}

// An input that cannot be compared is refused in words, and holds nothing that a later
// call needs.
func TestLastGoodRefusesWhatCannotBeCompared(t *testing.T) {
	called := 0
	get := facade.LastGood(8, 0, func(context.Context, any) (int, error) {
		called++
		return 1, nil
	})
	for _, in := range []any{[]int{1}, map[string]int{}, struct{ a any }{[]int{1}}, [1]any{func() {}}} {
		value, _ := crash(func() { get(t.Context(), in) })
		if s := fmt.Sprint(value); !strings.HasPrefix(s, "facade: LastGood: an input of type ") || !strings.HasSuffix(s, "cannot be compared; use one that can, such as a string made of it") {
			t.Errorf("%T: panicked with %v", in, value)
		}
	}
	for _, in := range []any{"key", 7, nil, struct{ a any }{1}} {
		if v, err := get(t.Context(), in); v != 1 || err != nil {
			t.Errorf("%v: got %d, %v", in, v, err)
		}
	}
	if called != 4 {
		t.Errorf("called %d times, want 4", called)
	}
}

// What is not equal to itself is not kept: nobody could ever find it, and it would push
// out what can be found.
func TestLastGoodKeepsNoNaN(t *testing.T) {
	fail := false
	get := facade.LastGood(16, 0, func(context.Context, float64) (int, error) {
		if fail {
			return 0, errWrong
		}
		return 1, nil
	})
	for i := range 16 {
		get(t.Context(), float64(i))
	}
	for range 100 {
		get(t.Context(), math.NaN())
	}
	fail = true
	for i := range 16 {
		if v, err := get(t.Context(), float64(i)); v != 1 || err != nil {
			t.Errorf("%d was pushed out", i)
		}
	}
	if _, err := get(t.Context(), math.NaN()); err != errWrong {
		t.Errorf("got %v", err)
	}
}

// A part that has got an old value, and then a new one for the same input, has the new
// one: nothing fell back. For other inputs the old one counts.
func TestNewAnswerAfterAnOldOne(t *testing.T) {
	for _, tt := range []struct {
		asks []int
		want facade.Status
	}{
		{[]int{1, 1}, facade.OK},
		{[]int{1, 2}, facade.FellBack},
		{[]int{1, 2, 1, 2}, facade.FellBack}, // who knows of which it has made use
	} {
		var log log
		fail := false
		get := facade.LastGood(8, 0, func(context.Context, int) (int, error) {
			if fail {
				return 0, errWrong
			}
			return 1, nil
		})
		p := facade.New[bool](facade.Config{})
		part := facade.Step(p, "part", func(ctx context.Context, again bool) (int, error) {
			v, err := 0, error(nil)
			for i, in := range tt.asks {
				fail = again && (i == 0 || len(tt.asks) == 4 && i == 1)
				v, err = get(ctx, in)
			}
			return v, err
		}).Undo(log.undoes("part"))
		status := facade.OK
		f := build(t, p, func(v *facade.Values) (int, error) {
			status = part.Result(v).Status
			return 0, errors.New("undo it")
		})
		get(t.Context(), 2)
		f.Call(t.Context(), false)
		log.add("again")
		f.Call(t.Context(), true)
		want := "undo part, again"
		if tt.want == facade.OK {
			want += ", undo part"
		}
		if status != tt.want || log.String() != want {
			t.Errorf("%v: %v, %v", tt.asks, status, &log)
		}
	}
}
