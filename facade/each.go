package facade

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// Each returns a function that calls fn for each of its inputs, at most limit at a
// time, and returns the values in the order of the inputs. If a call fails, no others
// begin, those that run are cancelled, and the values that are there go to discard, on
// a goroutine that no caller waits for. A discard of nil closes values that are an
// [io.Closer].
//
// Each waits for all calls, one of which is always on the caller's goroutine. A
// panic of fn is the caller's. Each panics if limit is less than 1 or fn is nil.
func Each[In, T any](limit int, discard func(T), fn func(context.Context, In) (T, error)) func(context.Context, []In) ([]T, error) {
	c := newEach("Each", limit, discard, fn)
	return func(ctx context.Context, ins []In) ([]T, error) {
		e := c.run(ctx, ins, false)
		if e.err != nil {
			return nil, e.err
		}
		return e.values, nil
	}
}

// EachSettled is [Each] for a page on which some items may be missing: a call that
// fails keeps no other from its end. There is a [Result] for each input: it is OK,
// Failed with fn's error, or Skipped with the cause of the context's end, after which
// no calls begin. If some items are not OK, a part has FellBack, with the first error.
// If none is OK, that is the error of the function.
//
// Values go to discard only if fn panics or exits.
func EachSettled[In, T any](limit int, discard func(T), fn func(context.Context, In) (T, error)) func(context.Context, []In) ([]Result[T], error) {
	c := newEach("EachSettled", limit, discard, fn)
	return func(ctx context.Context, ins []In) ([]Result[T], error) {
		e := c.run(ctx, ins, true)
		results := make([]Result[T], len(ins))
		for i := range results {
			results[i] = Result[T]{Value: e.values[i], Err: e.errs[i]}
			switch {
			case i >= e.next:
				results[i].Status, results[i].Err = Skipped, e.ended
			case !e.done[i]:
				results[i].Status = Failed
			}
		}
		lacks := e.lacks()
		if lacks != nil && e.good == 0 {
			return nil, lacks
		}
		Degraded(ctx, lacks)
		return results, nil
	}
}

// eachConfig is what the calls of an Each have in common.
type eachConfig[In, T any] struct {
	name    string
	limit   int
	discard func(T)
	fn      func(context.Context, In) (T, error)
}

func newEach[In, T any](name string, limit int, discard func(T), fn func(context.Context, In) (T, error)) eachConfig[In, T] {
	mustHave(name, []func(context.Context, In) (T, error){fn})
	if limit < 1 {
		panic(fmt.Sprintf("facade: %s with a limit of %d, want 1 or more", name, limit))
	}
	if discard == nil {
		discard = closeValue
	}
	return eachConfig[In, T]{name, limit, discard, fn}
}

// run returns when all calls have. It panics or exits if one has.
func (c eachConfig[In, T]) run(ctx context.Context, ins []In, settled bool) *each[In, T] {
	mustHaveContext(c.name, ctx)
	e := &each[In, T]{eachConfig: c, ins: ins, values: make([]T, len(ins)), done: make([]bool, len(ins))}
	if settled {
		e.errs = make([]error, len(ins))
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(context.Canceled)
	e.ctx, e.cancel = inner, cancel
	defer func() {
		e.wg.Wait() // also if fn has called runtime.Goexit on this goroutine
		if e.err != nil {
			discardLater(ctx, e.discard, e.gone())
		}
	}()
	for range min(c.limit, len(ins)) - 1 {
		e.wg.Go(e.work)
	}
	e.work()
	e.wg.Wait()
	switch {
	case e.panics != nil:
		panic(e.panics)
	case e.exits:
		runtime.Goexit()
	}
	return e
}

// each is one call of an Each.
type each[In, T any] struct {
	eachConfig[In, T]
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	ins    []In

	mu     sync.Mutex
	next   int
	values []T
	done   []bool
	good   int
	errs   []error // nil: one that fails ends all
	ended  error   // why not all were called
	err    error   // of all
	panics *PanicError
	exits  bool
}

// work calls fn for inputs that nobody has taken.
func (e *each[In, T]) work() {
	heard := func() bool { return true }
	work := func() error {
		for i := e.take(); i >= 0; i = e.take() {
			v, err := e.fn(e.ctx, e.ins[i])
			e.book(i, v, err)
		}
		return nil
	}
	guard("", heard, work, e.crashed)
}

// take returns the index of the next input, or -1.
func (e *each[In, T]) take() int {
	var cause error
	if e.ctx.Err() != nil {
		cause = context.Cause(e.ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.err != nil || e.ended != nil || e.next == len(e.ins):
		return -1
	case cause != nil:
		if e.ended = cause; e.errs == nil {
			e.failLocked(cause)
		}
		return -1
	}
	e.next++
	return e.next - 1
}

func (e *each[In, T]) book(i int, v T, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		e.values[i], e.done[i] = v, true
		e.good++
	case e.errs != nil:
		e.errs[i] = err
	default:
		e.failLocked(fmt.Errorf("item %d: %w", i, err))
	}
}

// crashed books a worker that has not returned.
func (e *each[In, T]) crashed(err error, how ending) {
	if how == returned {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p, ok := err.(panicked); !ok {
		e.exits = true
	} else if e.panics == nil {
		e.panics = p.PanicError
	}
	e.failLocked(err)
}

func (e *each[In, T]) failLocked(err error) {
	if e.err == nil {
		e.err = err
		e.cancel(err)
	}
}

// gone returns the values that nobody gets.
func (e *each[In, T]) gone() (values []T) {
	for i, done := range e.done {
		if done {
			values = append(values, e.values[i])
		}
	}
	return values
}

// lacks returns what keeps the items from all being OK, or nil.
func (e *each[In, T]) lacks() error {
	lack := len(e.ins) - e.good
	for i, err := range e.errs {
		if err != nil {
			return fmt.Errorf("%d of %d items failed, the first: item %d: %w", lack, len(e.ins), i, err)
		}
	}
	if lack > 0 {
		return fmt.Errorf("%d of %d items were not called: %w", lack, len(e.ins), e.ended)
	}
	return nil
}
