package facade

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Chain returns a function that calls fns one after the other until one succeeds: a
// primary, a cache, a default. The later ones are called even if a deadline has passed,
// because some need no time, but not if the context was cancelled. In a plan, a part
// that took a later one has FellBack, with the errors of those before.
//
// If all fail, the error is those of all. Chain panics if fns is empty or one is nil.
func Chain[In, T any](fns ...func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	mustHave("Chain", fns)
	return func(ctx context.Context, in In) (T, error) {
		var errs []error
		for _, fn := range fns {
			v, err := fn(ctx, in)
			if err == nil {
				serve(ctx, join(errs), false)
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

// LastGood returns a function that calls fn. If fn fails, the function returns the last
// value that fn had for the same input, unless the value is older than maxAge (0: of any
// age) or the context was cancelled. It keeps a value each for at most maxKeys inputs,
// those that were asked for last. Values are shared: nobody must change them. In a
// plan, a part that took an old value has FellBack, with fn's error, and is not undone.
//
// LastGood panics if maxKeys is less than 1 or fn is nil.
func LastGood[In comparable, T any](maxKeys int, maxAge time.Duration, fn func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	mustHave("LastGood", []func(context.Context, In) (T, error){fn})
	type good struct {
		value T
		at    time.Time
	}
	lru, err := simplelru.NewLRU[In, good](maxKeys, nil)
	if err != nil {
		panic(fmt.Sprintf("facade: LastGood with maxKeys of %d, want 1 or more", maxKeys))
	}
	var mu sync.Mutex
	return func(ctx context.Context, in In) (T, error) {
		v, err := fn(ctx, in)
		if err == nil {
			now := time.Now()
			mu.Lock()
			lru.Add(in, good{v, now})
			mu.Unlock()
			return v, nil
		}
		if ctx.Err() == context.Canceled {
			return v, err
		}
		mu.Lock()
		last, ok := lru.Get(in)
		mu.Unlock()
		if !ok || maxAge > 0 && time.Since(last.at) > maxAge {
			return v, err
		}
		serve(ctx, err, true)
		return last.value, nil
	}
}

// serve tells the part that ctx was made for, if any, why its value is a second
// choice, and whether it is not of this call.
func serve(ctx context.Context, cause error, stale bool) {
	if cause == nil {
		return
	}
	if c := whose(ctx); c != nil {
		c.served(cause, mayHaveActed(cause), stale)
	}
}

func (c *cell) served(cause error, acted, stale bool) {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	c.more().served, c.rare.acted, c.rare.stale = cause, acted, stale
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
