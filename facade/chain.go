package facade

import (
	"context"
	"io"
)

// Chain returns a function that calls fns one after the other until one succeeds: a
// primary, a cache, a default. The later ones are called even if a deadline has passed,
// because some need no time, but not if the context was cancelled. In a plan, a part
// that took a later one has FellBack, with the errors of those before.
//
// If all fail, the error is those of all. Chain panics if fns is empty or one is nil.
func Chain[In, T any](fns ...func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	mustHave("Chain", fns)
	id := new(int) // of this chain
	return func(ctx context.Context, in In) (T, error) {
		mustHaveContext("Chain", ctx)
		var errs []error
		for _, fn := range fns {
			v, err := fn(ctx, in)
			if err == nil {
				secondChoice(ctx, second{cause: join(errs), by: id})
				return v, nil
			}
			if errs = append(errs, err); ctx.Err() == context.Canceled {
				break
			}
		}
		var zero T
		return zero, join(errs)
	}
}

// mustHave panics unless all functions are there.
func mustHave[In, T any](name string, fns []func(context.Context, In) (T, error)) {
	if len(fns) == 0 {
		panic("facade: " + name + " of no functions")
	}
	for _, fn := range fns {
		if fn == nil {
			panic("facade: " + name + ": a function is nil")
		}
	}
}

func mustHaveContext(name string, ctx context.Context) {
	if ctx == nil {
		panic("facade: " + name + " with a nil context; context.Background() has no end")
	}
}

// closeValue is the discard that nil stands for.
func closeValue[T any](v T) {
	if c, ok := any(v).(io.Closer); ok {
		c.Close()
	}
}
