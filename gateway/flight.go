package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"time"
)

// ErrAborted is found by [errors.Is] in what the other callers of [Flight.Join] get
// when the function panics or calls [runtime.Goexit].
var ErrAborted = errors.New("gateway: the shared call did not return")

// A Flight makes one call out of those that are made for the same key at the same
// time. Nothing is kept when the call has returned: it is no cache. The zero value
// is ready for use if values of V cannot be changed; those with pointers, slices or
// maps need Clone or Share. It is safe for concurrent use, and must not be copied
// after first use.
//
// Calls with different credentials need different keys.
type Flight[K comparable, V any] struct {
	// Clone makes the value for each caller where there are several, by several
	// goroutines at once. With an error they get the zero value.
	Clone func(V) V

	// Share gives all callers the same value, which nobody may change then.
	Share bool

	mu      sync.Mutex
	flights map[K]*flight[V]
}

// flight is one call. Its fields are guarded by Flight.mu until it has landed.
type flight[V any] struct {
	own     *launched     // nil: it runs on its leader's goroutine, who cannot leave
	done    chan struct{} // closed when it has landed; nil until somebody waits
	waiting int32         // callers
	shared  bool          // there has been more than one

	value V
	err   error
}

// launched is what a flight with a goroutine of its own has besides.
type launched struct {
	lateContext
	panics any  // for the leader
	exits  bool // that too
	bound  bool // to land, even if all callers leave
	gone   bool // all callers have left, and its key is free
}

// Join calls fn, or waits for the call that is under way for key, and returns what
// fn does. A caller whose ctx ends leaves at once with its cause; the others do
// not notice. The context that fn gets has the values of the first caller's, and
// ends when the last caller has left. From that moment on the key is free.
//
// If the first caller's ctx cannot end, fn runs on its goroutine, else on a new one.
// If fn panics or calls [runtime.Goexit], so does Join for the first caller, and the
// others get [ErrAborted].
func (f *Flight[K, V]) Join(ctx context.Context, key K, fn func(context.Context) (V, error)) (V, error) {
	return f.join(ctx, key, fn, false)
}

// join is Join. A flight that is bound to land goes on when all callers have left.
func (f *Flight[K, V]) join(ctx context.Context, key K, fn func(context.Context) (V, error), bound bool) (v V, err error) {
	ended := ctx.Done()
	if ended != nil && ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	f.mu.Lock()
	if l := f.flights[key]; l != nil {
		l.waiting++
		l.shared = true
		if l.done == nil {
			l.done = make(chan struct{})
		}
		f.mu.Unlock()
		return f.wait(ctx, key, l, false)
	}
	if f.flights == nil {
		if f.Clone == nil && !f.Share && !immutable(reflect.TypeFor[V]()) {
			f.mu.Unlock()
			return v, fmt.Errorf("gateway: a Flight of %v needs Clone, or Share", reflect.TypeFor[V]())
		}
		f.flights = map[K]*flight[V]{}
	}
	if ended == nil && !bound {
		l := &flight[V]{waiting: 1}
		f.flights[key] = l
		f.mu.Unlock()
		f.fly(ctx, key, l, fn)
		return f.result(l)
	}
	return f.wait(ctx, key, f.launch(ctx, key, fn, 1, bound), true)
}

// start begins a flight that is bound to land and that nobody waits for yet, unless
// there is one.
func (f *Flight[K, V]) start(ctx context.Context, key K, fn func(context.Context) (V, error)) {
	f.mu.Lock()
	if f.flights[key] == nil {
		f.launch(ctx, key, fn, 0, true)
	} else {
		f.mu.Unlock()
	}
}

// launch begins a flight on a goroutine of its own. It is called with the lock held,
// and releases it.
func (f *Flight[K, V]) launch(ctx context.Context, key K, fn func(context.Context) (V, error), waiting int32, bound bool) *flight[V] {
	x := &struct {
		flight[V]
		launched
	}{}
	x.waiting, x.done, x.own = waiting, make(chan struct{}), &x.launched
	x.bound, x.leader = bound, ctx
	f.flights[key] = &x.flight
	f.mu.Unlock()
	go f.run(key, &x.flight, fn)
	return &x.flight
}

// fly calls fn for a leader who cannot leave. A panic passes through.
func (f *Flight[K, V]) fly(ctx context.Context, key K, l *flight[V], fn func(context.Context) (V, error)) {
	l.err = ErrAborted // until it returns
	defer f.land(key, l)
	l.value, l.err = fn(ctx)
}

// run is fly on a goroutine of its own. The leader gets a panic, and where
// it has left those who wait get an error; where nobody does it takes its course.
func (f *Flight[K, V]) run(key K, l *flight[V], fn func(context.Context) (V, error)) {
	returned := false
	defer func() {
		if !returned {
			f.mu.Lock()
			alone := l.waiting == 0
			f.mu.Unlock()
			l.err = ErrAborted
			if !alone {
				l.own.panics = recover()
				l.own.exits = l.own.panics == nil
			}
		}
		f.land(key, l)
		l.own.end()
	}()
	l.value, l.err = fn(&l.own.lateContext)
	returned = true
}

// land ends the flight.
func (f *Flight[K, V]) land(key K, l *flight[V]) {
	f.mu.Lock()
	if l.own == nil || !l.own.gone {
		delete(f.flights, key)
	}
	if l.done != nil {
		close(l.done)
	}
	f.mu.Unlock()
}

func (f *Flight[K, V]) wait(ctx context.Context, key K, l *flight[V], leads bool) (v V, err error) {
	select {
	case <-l.done:
	case <-ctx.Done():
		f.mu.Lock()
		l.waiting--
		last := l.waiting == 0 && f.flights[key] == l && !l.own.bound
		if last {
			delete(f.flights, key)
			l.own.gone = true
		}
		f.mu.Unlock()
		if last {
			l.own.end()
		}
		return v, context.Cause(ctx)
	}
	if leads && l.own.exits {
		runtime.Goexit()
	}
	if leads && l.own.panics != nil {
		panic(l.own.panics)
	}
	if !leads && l.own != nil && l.own.panics != nil {
		return v, fmt.Errorf("%w: panic: %v", ErrAborted, l.own.panics)
	}
	return f.result(l)
}

// result returns what a caller gets. Where there have been several, nobody gets the
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

// immutable reports whether a value of type t can be shared without being seen to
// change.
func immutable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return true
		}
		for field := range t.Fields() {
			if !immutable(field.Type) {
				return false
			}
		}
		return true
	case reflect.Array:
		return immutable(t.Elem())
	}
	return t.Kind() >= reflect.Bool && t.Kind() <= reflect.Complex128 && t.Kind() != reflect.Uintptr || t.Kind() == reflect.String
}
