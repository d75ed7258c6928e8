package facade

import "context"

// discardLater gives values to discard, on a goroutine of its own: a call does not wait
// for that.
func discardLater[T any](ctx context.Context, discard func(T), values []T) {
	if len(values) > 0 {
		go discardAll(ctx, discard, values)
	}
}

// discardAll gives values to discard, one at a time. One that panics or exits does not
// keep the others from theirs.
func discardAll[T any](ctx context.Context, discard func(T), values []T) {
	done := 0
	defer func() { discardLater(ctx, discard, values[done:]) }() // after runtime.Goexit
	c := whose(ctx)
	for _, v := range values {
		done++
		guard("", c.heard, func() error { discard(v); return nil }, func(err error, how ending) {
			if how != returned {
				c.stray(err)
			}
		})
	}
}
