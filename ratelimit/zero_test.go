package ratelimit

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

// panics is for a call that must panic.
func panics(t *testing.T, want string, call func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := recover(); got != want {
			t.Errorf("panicked with %v, want %q", got, want)
		}
	}()
	call()
}

// What was not made by its constructor lets nothing through, and says so.
func TestZeroValues(t *testing.T) {
	ctx := t.Context()
	for want, calls := range map[string][]func() error{
		limiterNotMade: {
			func() error { return new(Limiter).Wait(ctx) },
			func() error { return new(Limiter).WaitN(ctx, 0) },
			func() error { _, err := new(Limiter).Charge(ctx, 1); return err },
			func() error { _, err := new(Limiter).Charge(ctx, 0); return err },
		},
		keyedNotMade: {
			func() error { return new(Keyed[int]).Wait(ctx, 1) },
			func() error { return new(Keyed[int]).WaitN(ctx, 1, 0) },
		},
		sharedNotMade: {
			func() error { return new(Shared).Wait(ctx, "") },
			func() error { return new(Shared).WaitN(ctx, "", 0) },
		},
		bulkheadNotMade: {
			func() error { _, err := new(Bulkhead).Allow(); return err },
			func() error { _, err := new(Bulkhead).AllowN(2); return err },
			func() error { _, err := new(Bulkhead).Acquire(ctx); return err },
			func() error { _, err := new(Bulkhead).AcquireN(ctx, 0); return err },
			func() error { return Run(ctx, new(Bulkhead), func(context.Context) error { return nil }) },
		},
	} {
		for i, call := range calls {
			err := call()
			if e, ok := errors.AsType[*Error](err); !ok || err.Error() != want || !errors.Is(err, ErrLimited) || e.Retryable() {
				t.Errorf("%d: %v, want %s", i, err, want)
			}
		}
	}
	for want, calls := range map[string][]func(){
		limiterNotMade: {
			func() { new(Limiter).Allow() },
			func() { new(Limiter).AllowN(time.Now(), 1) },
			func() { new(Limiter).Take(1) },
			func() { new(Limiter).Take(0) },
			func() { new(Limiter).SetLimit(1) },
			func() { new(Limiter).SetBurst(1) },
			func() { new(Limiter).Tokens() },
			func() { new(Limiter).Limit() },
			func() { new(Limiter).Burst() },
			func() { new(Limiter).Stats() },
			func() { All(New(Config{Rate: 1}), new(Limiter)) },
		},
		keyedNotMade:    {func() { new(Keyed[int]).Allow(1) }, func() { new(Keyed[int]).Take(1, 1) }},
		sharedNotMade:   {func() { new(Shared).Take(ctx, "", 0) }},
		bulkheadNotMade: {func() { new(Bulkhead).SetLimit(1) }},
	} {
		for _, call := range calls {
			panics(t, want, call)
		}
	}
	for _, transport := range []*Transport{{Limiter: new(Limiter)}, {Concurrency: new(Bulkhead)}} {
		if _, err := transport.RoundTrip(new(http.Request).WithContext(ctx)); !errors.Is(err, ErrLimited) {
			t.Error(err)
		}
	}
	new(Keyed[int]).Delete(1)
	if s := new(Keyed[int]).Stats(); s != (KeyedStats{}) {
		t.Errorf("%+v", s)
	}
	if s := new(Shared).Stats(); s != (SharedStats{}) {
		t.Errorf("%+v", s)
	}
	if s := new(Bulkhead).Stats(); s != (BulkheadStats{}) {
		t.Errorf("%+v", s)
	}
}
