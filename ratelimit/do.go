package ratelimit

import "context"

// Do calls op with leave of a, and gives it back when op returns, panics or calls
// [runtime.Goexit]. If a refuses, Do returns its error without calling op;
// otherwise op's value and error come back unchanged.
func Do[T any](ctx context.Context, a Acquirer, op func(context.Context) (T, error)) (T, error) {
	permit, err := a.Acquire(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	defer permit.Done()
	return op(ctx)
}

// Run is [Do] for an operation without a value.
func Run(ctx context.Context, a Acquirer, op func(context.Context) error) error {
	permit, err := a.Acquire(ctx)
	if err != nil {
		return err
	}
	defer permit.Done()
	return op(ctx)
}

// Wrap returns fn with leave of a for each call.
func Wrap[In, T any](a Acquirer, fn func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	return func(ctx context.Context, in In) (T, error) {
		return Do(ctx, a, func(ctx context.Context) (T, error) { return fn(ctx, in) })
	}
}
