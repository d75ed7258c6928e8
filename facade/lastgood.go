package facade

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// LastGood returns a function that calls fn. If fn fails, the function returns the last
// good value for the same input: that of the call of fn that began last. It does not if
// the value is older than maxAge (0: of any age), or the context was cancelled. It
// keeps a value each for at most maxKeys inputs, those that were asked for last. Values
// are shared: nobody must change them. In a plan, a part that took an old value has
// FellBack, with fn's error, and is not undone.
//
// An input that is not equal to itself (NaN) has no last value. One that cannot be
// compared, which an interface type admits, panics before fn is called. LastGood panics
// if maxKeys is less than 1 or fn is nil.
func LastGood[In comparable, T any](maxKeys int, maxAge time.Duration, fn func(context.Context, In) (T, error)) func(context.Context, In) (T, error) {
	mustHave("LastGood", []func(context.Context, In) (T, error){fn})
	lru, err := simplelru.NewLRU[In, good[T]](maxKeys, nil)
	if err != nil {
		panic(fmt.Sprintf("facade: LastGood with maxKeys of %d, want 1 or more", maxKeys))
	}
	l := &lastGood[In, T]{fn: fn, maxAge: maxAge, lru: lru, mixed: !strictlyComparable(reflect.TypeFor[In]())}
	return l.call
}

type lastGood[In comparable, T any] struct {
	fn     func(context.Context, In) (T, error)
	maxAge time.Duration
	mixed  bool // not all inputs can be compared
	begun  atomic.Uint64

	mu  sync.Mutex
	lru *simplelru.LRU[In, good[T]]
}

// good is a value of the call with that number.
type good[T any] struct {
	value T
	call  uint64
	at    time.Time
}

// choice is a LastGood's word on an input.
type choice[In comparable] struct {
	of any
	in In
}

func (l *lastGood[In, T]) call(ctx context.Context, in In) (T, error) {
	mustHaveContext("LastGood", ctx)
	if l.mixed && !reflect.ValueOf(&in).Elem().Comparable() {
		panic(fmt.Sprintf("facade: LastGood: an input of type %T cannot be compared; use one that can, such as a string made of it", in))
	}
	call := l.begun.Add(1)
	v, err := l.fn(ctx, in)
	if err == nil {
		l.put(in, good[T]{v, call, time.Now()})
		if w := witnessOf(ctx); w != nil && w.has() {
			withdraw(w, choice[In]{l, in})
		}
		return v, nil
	}
	if ctx.Err() == context.Canceled {
		return v, err
	}
	last, ok := l.get(in)
	if !ok || l.maxAge > 0 && time.Since(last.at) > l.maxAge {
		return v, err
	}
	secondChoice(ctx, second{cause: err, stale: true, by: choice[In]{l, in}})
	return last.value, nil
}

func (l *lastGood[In, T]) get(in In) (good[T], bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lru.Get(in)
}

func (l *lastGood[In, T]) put(in In, g good[T]) {
	if in != in {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.lru.Peek(in); ok && last.call > g.call {
		return // a slow answer is not better than a new one
	}
	l.lru.Add(in, g)
}

// strictlyComparable reports whether all values of type t can be compared.
func strictlyComparable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return false
	case reflect.Array:
		return strictlyComparable(t.Elem())
	case reflect.Struct:
		for field := range t.Fields() {
			if !strictlyComparable(field.Type) {
				return false
			}
		}
	}
	return true
}
