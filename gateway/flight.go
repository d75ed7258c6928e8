package gateway

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"
)

var errItself = fmt.Errorf("%w: its function joins the same key, and would wait for itself", ErrAborted)

// A Flight turns simultaneous calls for one key into one call, whose result all of
// them get. It is no cache: nothing is kept after the call has returned. The zero
// value is ready for use if a value of V cannot be changed; a V with pointers, slices
// or maps needs Clone or Share. A Flight is safe for concurrent use, and must not be
// copied after first use.
//
// Callers with different credentials need different keys. A key that is not equal to
// itself, such as NaN, is shared with nobody.
type Flight[K comparable, V any] struct {
	// Clone makes a value for each caller if there are several. Several goroutines
	// call it at once. It is not called after an error; callers get the zero value.
	Clone func(V) V

	// Share gives the same value to all callers. Then nobody may change it.
	Share bool

	limit time.Duration // of a flight that is bound; 0: none

	mu      sync.Mutex
	flights map[K]*flight[V]
}

// flight is one shared call. Flight.mu guards its fields until it has landed.
type flight[V any] struct {
	own     *launched     // nil: it runs on the goroutine of its leader, who cannot leave
	inline  inlineContext // of such a flight
	done    chan struct{} // closed when it lands; nil until somebody waits
	waiting int32         // callers
	shared  bool          // there has been more than one caller
	listed  bool          // it is in Flight.flights
	landed  bool

	value V
	err   error
}

// launched is the part of a flight that only one on its own goroutine has.
type launched struct {
	lateContext
	bound  bool // it goes on when all callers have left
	lost   bool // it has landed without its function
	panics any  // for the leader; not to be read if lost
	exits  bool // the leader is to call runtime.Goexit; as panics
}

// Join calls fn, or waits for the call that is under way for key, and returns what
// fn returns. A caller whose ctx ends leaves at once with the cause; the others do
// not notice. fn gets a context with the values of the first caller's. It ends when
// the last caller has left, and from that moment on the key is free.
//
// If the ctx of the first caller cannot end, fn runs on the caller's goroutine, and
// on a new one otherwise. If fn panics or calls [runtime.Goexit], so does Join for the
// first caller, and the others get [ErrAborted]. A key that cannot be hashed panics, as
// it does in a map.
func (f *Flight[K, V]) Join(ctx context.Context, key K, fn func(context.Context) (V, error)) (V, error) {
	return f.join(ctx, key, fn, false)
}

// join is Join. A flight that is bound goes on when all callers have left.
func (f *Flight[K, V]) join(ctx context.Context, key K, fn func(context.Context) (V, error), bound bool) (v V, err error) {
	ended := ctx.Done()
	if ended != nil && ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	l, leads, err := f.board(ctx, key, 1, bound || ended != nil, bound)
	switch {
	case err != nil:
		return v, err
	case leads && l.own == nil:
		f.fly(key, l, fn)
		return f.result(l)
	case leads:
		f.launch(key, l, fn)
	case l.carries(ctx):
		f.leave(key, l)
		return v, errItself
	}
	return f.wait(ctx, key, l, leads)
}

// start begins a bound flight that nobody waits for yet, unless there is one.
func (f *Flight[K, V]) start(ctx context.Context, key K, fn func(context.Context) (V, error)) {
	if l, leads, err := f.board(ctx, key, 0, true, true); leads && err == nil {
		f.launch(key, l, fn)
	}
}

// board returns the flight that is under way for key, with more callers, or a new one,
// which the caller leads.
func (f *Flight[K, V]) board(ctx context.Context, key K, callers int32, launches, bound bool) (l *flight[V], leads bool, err error) {
	same := key
	found := same == key // not NaN; panics, before there is a lock, if it cannot be hashed
	f.mu.Lock()
	defer f.mu.Unlock()
	if found {
		l = f.flights[key]
	}
	if l != nil {
		l.waiting += callers
		l.shared = l.shared || callers > 0
		if l.done == nil {
			l.done = make(chan struct{})
		}
		return l, false, nil
	}
	if f.flights == nil {
		if f.Clone == nil && !f.Share && !immutable(reflect.TypeFor[V]()) {
			return nil, false, fmt.Errorf("gateway: a Flight of %v needs Clone, or Share", reflect.TypeFor[V]())
		}
		f.flights = map[K]*flight[V]{}
	}
	if launches {
		x := &struct {
			flight[V]
			launched
		}{}
		l = &x.flight
		l.own, l.done = &x.launched, make(chan struct{})
		l.own.leader, l.own.bound = ctx, bound
	} else {
		l = &flight[V]{inline: inlineContext{ctx}}
	}
	l.waiting = callers
	if l.listed = found; found {
		f.flights[key] = l
	}
	return l, true, nil
}

// carries reports whether ctx comes from the function of l.
func (l *flight[V]) carries(ctx context.Context) bool {
	mine := flightContext(&l.inline)
	if l.own != nil {
		mine = &l.own.lateContext
	}
	for {
		c, ok := ctx.Value(flightKey{}).(flightContext)
		if !ok || c == mine {
			return ok
		}
		ctx = c.outer()
	}
}

// launch runs a flight on a goroutine of its own.
func (f *Flight[K, V]) launch(key K, l *flight[V], fn func(context.Context) (V, error)) {
	go f.run(key, l, fn)
}

// immutable reports whether callers can share a value of type t and never see it
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
