// Package facadetest helps to test facades: it replaces parts by their handles, and
// fails each part of a plan in turn.
//
// All functions return or use copies; the facade that they are given goes on as
// before. Times need no help: facades work in the bubbles of testing/synctest, where
// a part that hangs costs no time, and one that is left behind fails the test unless
// it waits for its end.
package facadetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/facade"
)

// ErrInjected is the error of parts that [EachFailure] fails.
var ErrInjected = errors.New("facadetest: injected failure")

// Func returns a copy of f in which part calls fn instead of its function. It panics
// if part is not one of f's plan.
func Func[In, Out, T any](f *facade.Facade[In, Out], part *facade.Part[T], fn func(context.Context) (T, error)) *facade.Facade[In, Out] {
	return f.Override(part.Name(), func(ctx context.Context) (any, error) { return fn(ctx) })
}

// Return returns a copy of f in which part has the value v.
func Return[In, Out, T any](f *facade.Facade[In, Out], part *facade.Part[T], v T) *facade.Facade[In, Out] {
	return Func(f, part, func(context.Context) (T, error) { return v, nil })
}

// Fail returns a copy of f in which part fails with err.
func Fail[In, Out, T any](f *facade.Facade[In, Out], part *facade.Part[T], err error) *facade.Facade[In, Out] {
	return Func(f, part, func(context.Context) (v T, _ error) { return v, err })
}

// EachFailure calls f with in once for each of its parts, which fails with
// [ErrInjected] then, and has check look at what the call returns: an error, or an
// answer that does without the part. Each is a subtest with the part's name. It
// fails if the call has, for another reason, and is skipped if the part was not called.
func EachFailure[In, Out any](t *testing.T, f *facade.Facade[In, Out], in In, check func(t *testing.T, part string, out Out, err error)) {
	for _, part := range f.Stats().Parts {
		t.Run(part.Part, func(t *testing.T) {
			var called atomic.Bool
			out, err := f.Override(part.Part, func(context.Context) (any, error) {
				called.Store(true)
				return nil, ErrInjected
			}).Call(t.Context(), in)
			if err != nil && !errors.Is(err, ErrInjected) {
				t.Fatalf("the call fails without the injected failure: %v", err)
			}
			if !called.Load() {
				t.Skip("the part was not called")
			}
			check(t, part.Part, out, err)
		})
	}
}
