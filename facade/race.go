package facade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
)

// errBeaten is the cause with which the contexts of losers end.
var errBeaten = errors.New("facade: others were faster")

// First returns a function that calls all fns at once and returns the first value.
// The others' contexts end then, and what they return all the same goes to
// discard, later. A discard of nil closes values that are an [io.Closer].
//
// The error is those of all, or the cause of the context's end, after which First
// does not wait. Each function has a goroutine that ends when it returns. A
// panic is the caller's, unless it comes after First has returned; then it
// takes its course. First panics if fns is empty or one is nil.
func First[In, T any](discard func(T), fns ...func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	mustHave("First", fns)
	all := Quorum(1, discard, fns...)
	return func(ctx context.Context, in In) (v T, err error) {
		values, err := all(ctx, in)
		if err != nil {
			return v, err
		}
		return values[0], nil
	}
}

// Quorum is [First] for n values, which it returns in the order of fns. It fails as
// soon as n values are not possible any more. It panics if n is less than 1 or more
// than there are fns.
func Quorum[In, T any](n int, discard func(T), fns ...func(context.Context, In) (T, error)) func(context.Context, In) ([]T, error) {
	mustHave("Quorum", fns)
	if n < 1 || n > len(fns) {
		panic(fmt.Sprintf("facade: Quorum of %d out of %d functions", n, len(fns)))
	}
	if discard == nil {
		discard = closeValue
	}
	return func(ctx context.Context, in In) ([]T, error) {
		r := &race[T]{need: n, errs: make([]error, len(fns)), values: make([]T, len(fns)), done: make(chan struct{}), discard: discard}
		inner, cancel := context.WithCancelCause(ctx)
		defer cancel(errBeaten)
		for i, fn := range fns {
			go r.enter(i, func() (T, error) { return fn(inner, in) })
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			r.mu.Lock()
			if !r.over {
				r.err = context.Cause(ctx)
				r.finishLocked()
			}
			r.mu.Unlock()
		}
		return r.result()
	}
}

func closeValue[T any](v T) {
	if c, ok := any(v).(io.Closer); ok {
		c.Close()
	}
}

// race is one call of a Quorum.
type race[T any] struct {
	discard func(T)
	done    chan struct{} // closed when over

	mu     sync.Mutex
	over   bool
	need   int
	won    []int
	failed int
	values []T
	errs   []error
	err    error
	crash  *PanicError
	exits  bool
}

// enter runs one contestant.
func (r *race[T]) enter(i int, fn func() (T, error)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.over {
			return // a panic takes its course
		}
		if v := recover(); v != nil {
			r.crash = newPanicError("", v, debug.Stack())
		}
		r.exits = r.crash == nil
		r.finishLocked()
	}()
	v, err := fn()
	returned = true

	r.mu.Lock()
	late := r.over
	switch {
	case late:
	case err == nil:
		r.values[i] = v
		if r.won = append(r.won, i); len(r.won) == r.need {
			r.finishLocked()
		}
	default:
		r.errs[i] = err
		if r.failed++; len(r.errs)-r.failed < r.need {
			r.err = join(r.errs)
			r.finishLocked()
		}
	}
	r.mu.Unlock()
	if late && err == nil {
		r.discard(v)
	}
}

// finishLocked ends the race.
func (r *race[T]) finishLocked() {
	r.over = true
	close(r.done)
}

// result is called when the race is over.
func (r *race[T]) result() ([]T, error) {
	if r.err == nil && r.crash == nil && !r.exits {
		slices.Sort(r.won)
		values := make([]T, len(r.won))
		for i, at := range r.won {
			values[i] = r.values[at]
		}
		return values, nil
	}
	for _, i := range r.won {
		r.discard(r.values[i])
	}
	if r.crash != nil {
		panic(r.crash)
	}
	if r.exits {
		runtime.Goexit()
	}
	return nil, r.err
}
