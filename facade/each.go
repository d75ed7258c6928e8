package facade

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
)

// Each returns a function that calls fn for each of its inputs, at most limit at a
// time, and returns the values in the order of the inputs. If a call fails, no others
// begin, those that run are cancelled, and the values that are there go to discard. A
// discard of nil closes values that are an [io.Closer].
//
// Each waits for all calls, one of which is always on the caller's goroutine. A
// panic of fn is the caller's. Each panics if limit is less than 1 or fn is nil.
func Each[In, T any](limit int, discard func(T), fn func(context.Context, In) (T, error)) func(context.Context, []In) ([]T, error) {
	mustHave("Each", []func(context.Context, In) (T, error){fn})
	if limit < 1 {
		panic(fmt.Sprintf("facade: Each with a limit of %d", limit))
	}
	if discard == nil {
		discard = closeValue
	}
	return func(ctx context.Context, ins []In) ([]T, error) {
		e := &each[In, T]{fn: fn, discard: discard, ins: ins, values: make([]T, len(ins)), done: make([]bool, len(ins))}
		e.ctx, e.cancel = context.WithCancelCause(ctx)
		defer e.cancel(context.Canceled)
		returned := false
		defer func() {
			if !returned { // fn has called runtime.Goexit on this goroutine
				e.wait()
			}
		}()
		for range min(limit, len(ins)) - 1 {
			e.wg.Go(e.work)
		}
		e.work()
		e.wait()
		returned = true
		switch {
		case e.crash != nil:
			panic(e.crash)
		case e.exits:
			runtime.Goexit()
		case e.err != nil:
			return nil, e.err
		}
		return e.values, nil
	}
}

// each is one call of an Each.
type each[In, T any] struct {
	fn      func(context.Context, In) (T, error)
	discard func(T)
	ctx     context.Context
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup
	ins     []In

	mu     sync.Mutex
	next   int
	values []T
	done   []bool
	err    error
	crash  *PanicError
	exits  bool
}

// work calls fn for inputs that nobody has taken.
func (e *each[In, T]) work() {
	returned := false
	defer func() {
		if returned {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		err := errExit
		if v := recover(); v != nil {
			crash := newPanicError("", v, debug.Stack())
			err = crash
			if e.crash == nil {
				e.crash = crash
			}
		} else {
			e.exits = true
		}
		e.failLocked(err)
	}()
	for i := e.take(); i >= 0; i = e.take() {
		v, err := e.fn(e.ctx, e.ins[i])
		e.mu.Lock()
		if err == nil {
			e.values[i], e.done[i] = v, true
		} else {
			e.failLocked(fmt.Errorf("item %d: %w", i, err))
		}
		e.mu.Unlock()
	}
	returned = true
}

// take returns the index of the next input, or -1.
func (e *each[In, T]) take() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next < len(e.ins) && e.ctx.Err() != nil {
		e.failLocked(context.Cause(e.ctx))
	}
	if e.err != nil || e.next == len(e.ins) {
		return -1
	}
	e.next++
	return e.next - 1
}

func (e *each[In, T]) failLocked(err error) {
	if e.err == nil {
		e.err = err
		e.cancel(err)
	}
}

// wait returns when all calls have.
func (e *each[In, T]) wait() {
	e.wg.Wait()
	if e.err == nil {
		return
	}
	for i, done := range e.done {
		if done {
			e.discard(e.values[i])
		}
	}
}
