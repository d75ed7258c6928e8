package gateway

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// fly calls fn on the goroutine of a leader who cannot leave. A panic passes through.
func (f *Flight[K, V]) fly(key K, l *flight[V], fn func(context.Context) (V, error)) {
	l.err = ErrAborted // until fn returns
	defer f.land(key, l)
	l.value, l.err = fn(&l.inline)
}

// run is fly on a goroutine of its own. A panic is handed to the leader, or, if the
// leader has left, becomes the error of those who wait. If nobody waits, it takes its
// course.
func (f *Flight[K, V]) run(key K, l *flight[V], fn func(context.Context) (V, error)) {
	defer l.own.end()
	if l.own.bound && f.limit > 0 { // fn may not heed the end of its context
		var none V
		timer := time.AfterFunc(f.limit, func() { f.settle(key, l, none, context.DeadlineExceeded, true) })
		defer timer.Stop()
	}
	var v V
	err, returned := ErrAborted, false
	defer func() {
		if !returned && f.awaited(l) {
			l.own.panics = recover()
			l.own.exits = l.own.panics == nil
		}
		f.settle(key, l, v, err, false)
	}()
	v, err = fn(&l.own.lateContext)
	returned = true
}

// awaited reports whether somebody waits for l.
func (f *Flight[K, V]) awaited(l *flight[V]) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return l.waiting > 0 && !l.landed
}

// settle lands a flight with a result, the first one that it gets. It is lost if its
// function has not returned.
func (f *Flight[K, V]) settle(key K, l *flight[V], v V, err error, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.landed {
		return
	}
	l.value, l.err, l.own.lost = v, err, lost
	f.landLocked(key, l)
}

// land ends a flight that has its result.
func (f *Flight[K, V]) land(key K, l *flight[V]) {
	f.mu.Lock()
	f.landLocked(key, l)
	f.mu.Unlock()
}

func (f *Flight[K, V]) landLocked(key K, l *flight[V]) {
	l.landed = true
	f.unlistLocked(key, l)
	if l.done != nil {
		close(l.done)
	}
}

// unlistLocked frees the key of l.
func (f *Flight[K, V]) unlistLocked(key K, l *flight[V]) {
	if l.listed {
		l.listed = false
		delete(f.flights, key)
	}
}

// leave takes a caller from l. The last one frees the key and ends the context.
func (f *Flight[K, V]) leave(key K, l *flight[V]) {
	f.mu.Lock()
	l.waiting--
	last := l.waiting == 0 && !l.own.bound
	if last {
		f.unlistLocked(key, l)
	}
	f.mu.Unlock()
	if last {
		l.own.end()
	}
}

func (f *Flight[K, V]) wait(ctx context.Context, key K, l *flight[V], leads bool) (v V, err error) {
	select {
	case <-l.done:
	case <-ctx.Done():
		f.leave(key, l)
		return v, context.Cause(ctx)
	}
	switch {
	case l.own == nil || l.own.lost:
	case leads && l.own.exits:
		runtime.Goexit()
	case leads && l.own.panics != nil:
		panic(l.own.panics)
	case l.own.panics != nil:
		return v, fmt.Errorf("%w: panic: %v", ErrAborted, l.own.panics)
	}
	return f.result(l)
}

// result returns what a caller gets. If there are several, none of them gets the
// original, which the others may be copying.
func (f *Flight[K, V]) result(l *flight[V]) (v V, err error) {
	switch {
	case !l.shared || f.Clone == nil:
		return l.value, l.err
	case l.err == nil:
		v = f.Clone(l.value)
	}
	return v, l.err
}

// flightContext is the context that the function of a flight gets. It answers
// flightKey with itself, so that a flight finds out who is in it.
type flightContext interface {
	context.Context
	outer() context.Context // the leader's, which may be of another flight
}

type flightKey struct{}

// inlineContext is that of a flight on its leader's goroutine.
type inlineContext struct{ context.Context }

func (c *inlineContext) outer() context.Context { return c.Context }

// Value implements [context.Context].
func (c *inlineContext) Value(key any) any {
	if key == (flightKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// lateContext is that of a flight on its own goroutine: the values of the leader's,
// and an end of its own. Most functions are short and never ask for the end; only
// when one does is there a context of package context behind it.
type lateContext struct {
	leader context.Context

	mu     sync.Mutex
	real   context.Context // nil until somebody asks
	cancel context.CancelFunc
	ended  bool
}

func (c *lateContext) outer() context.Context { return c.leader }

func (c *lateContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended = true; c.cancel != nil {
		c.cancel()
	}
}

// Done implements [context.Context].
func (c *lateContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		if c.real, c.cancel = context.WithCancel(context.WithoutCancel(c.leader)); c.ended {
			c.cancel()
		}
	}
	return c.real.Done()
}

// Err implements [context.Context].
func (c *lateContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Deadline implements [context.Context].
func (c *lateContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements [context.Context]. A derived context asks for Done first, and
// then finds the real context by its value.
func (c *lateContext) Value(key any) any {
	if key == (flightKey{}) {
		return c
	}
	c.mu.Lock()
	ctx := c.real
	c.mu.Unlock()
	if ctx == nil {
		ctx = context.WithoutCancel(c.leader)
	}
	return ctx.Value(key)
}
