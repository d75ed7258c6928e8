package ratelimit

import "context"

// Do calls op with leave of a. If a refuses, Do returns its error without calling op;
// otherwise it returns op's value and error unchanged. It tells a how the call was
// answered, by the rules of [Permit.Outcome], and gives the Permit back when op
// returns, panics or calls [runtime.Goexit].
func Do[T any](ctx context.Context, a Acquirer, op func(context.Context) (T, error)) (T, error) {
	permit, err := a.Acquire(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	defer permit.Done()
	v, err := op(ctx)
	permit.returned(ctx, err)
	return v, err
}

// Run is [Do] for an operation without a value.
func Run(ctx context.Context, a Acquirer, op func(context.Context) error) error {
	permit, err := a.Acquire(ctx)
	if err != nil {
		return err
	}
	defer permit.Done()
	err = op(ctx)
	permit.returned(ctx, err)
	return err
}

// Wrap returns a function that calls fn as [Do] does.
func Wrap[In, T any](a Acquirer, fn func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	return func(ctx context.Context, in In) (T, error) {
		return Do(ctx, a, func(ctx context.Context) (T, error) { return fn(ctx, in) })
	}
}
