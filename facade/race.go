package facade

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// errBeaten is the cause with which the contexts of losers end.
var errBeaten = errors.New("facade: others were faster")

// First returns a function that calls all fns at once and returns the first value. The
// contexts of the others end then. If they return values all the same, those go to
// discard, on goroutines that no caller waits for. A discard of nil closes values that
// are an [io.Closer].
//
// If all fail, the error is those of all. First does not wait for functions when the
// context has ended: then the error is the cause of that. Each function has a goroutine
// that ends when the function returns. A panic is the caller's. After First has
// returned, a panic of a function, or of discard, is that of the part that First is
// used in, and takes its course outside of a plan. First panics if fns is empty or one
// is nil.
func First[In, T any](discard func(T), fns ...func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	mustHave("First", fns)
	all := quorum("First", 1, discard, fns)
	return func(ctx context.Context, in In) (v T, err error) {
		values, err := all(ctx, in)
		if err != nil {
			return v, err
		}
		return values[0], nil
	}
}

// Quorum is [First] for n values, which it returns in the order of fns. It fails as
// soon as n values are not possible any more; the values that it has then go to discard.
// It panics if n is less than 1 or more than there are fns.
func Quorum[In, T any](n int, discard func(T), fns ...func(context.Context, In) (T, error)) func(context.Context, In) ([]T, error) {
	mustHave("Quorum", fns)
	if n < 1 || n > len(fns) {
		panic(fmt.Sprintf("facade: Quorum of %d out of %d functions", n, len(fns)))
	}
	return quorum("Quorum", n, discard, fns)
}

func quorum[In, T any](name string, n int, discard func(T), fns []func(context.Context, In) (T, error)) func(context.Context, In) ([]T, error) {
	if discard == nil {
		discard = closeValue
	}
	return func(ctx context.Context, in In) ([]T, error) {
		mustHaveContext(name, ctx)
		r := &race[T]{ctx: ctx, discard: discard, done: make(chan struct{}),
			need: n, fns: make([]contestant, len(fns)), errs: make([]error, len(fns)), values: make([]T, len(fns))}
		inner, cancel := context.WithCancelCause(ctx)
		defer cancel(errBeaten)
		for i, fn := range fns {
			r.fns[i].Context, r.fns[i].of = inner, whose(ctx)
			go r.enter(i, func() (T, error) { return fn(&r.fns[i], in) })
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			r.giveUp()
		}
		return r.result()
	}
}

// race is one call of a Quorum.
type race[T any] struct {
	ctx     context.Context
	discard func(T)
	done    chan struct{} // closed when over
	fns     []contestant

	mu     sync.Mutex
	over   bool
	need   int
	won    []int
	failed int
	values []T
	errs   []error
	err    error
	panics *PanicError
	exits  bool
}

// enter runs one contestant.
func (r *race[T]) enter(i int, fn func() (T, error)) {
	var v T
	part := whose(r.ctx)
	heard := func() bool { return !r.isOver() || part.heard() }
	call := func() (err error) {
		v, err = fn()
		return err
	}
	guard("", heard, call, func(err error, how ending) {
		switch inTime := r.arrive(i, v, err, how); {
		case inTime:
		case how != returned:
			part.stray(err)
		case err == nil:
			discardAll(r.ctx, r.discard, []T{v})
		}
	})
}

func (r *race[T]) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// arrive books how contestant i has ended. It returns false if the race was over.
func (r *race[T]) arrive(i int, v T, err error, how ending) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
		return false
	case how == crashed:
		r.panics = err.(panicked).PanicError
		r.finishLocked()
	case how == exited:
		r.exits = true
		r.finishLocked()
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
	return true
}

// giveUp ends the race when its context has ended.
func (r *race[T]) giveUp() {
	cause := context.Cause(r.ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.err = cause
		r.finishLocked()
	}
}

// finishLocked ends the race.
func (r *race[T]) finishLocked() {
	r.over = true
	close(r.done)
}

// result is called when the race is over.
func (r *race[T]) result() ([]T, error) {
	slices.Sort(r.won)
	values := make([]T, len(r.won))
	for i, at := range r.won {
		values[i] = r.values[at]
	}
	if r.err == nil && r.panics == nil && !r.exits {
		for _, i := range r.won {
			r.fns[i].pass(r.ctx)
		}
		return values, nil
	}
	discardLater(r.ctx, r.discard, values)
	if r.panics != nil {
		panic(r.panics)
	}
	if r.exits {
		runtime.Goexit()
	}
	return nil, r.err
}
