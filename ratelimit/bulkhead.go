package ratelimit

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// A Bulkhead limits how many calls are under way at once, so that one slow backend
// cannot use up what all calls share. It is safe for concurrent use, starts no
// goroutine, and needs no Close. A nil *Bulkhead has no limit. Make it with
// [NewBulkhead]: one that is not refuses every call, with an error that says so.
//
// A call may take more than one place. Calls that wait are served in the order in
// which they came, those of [LowPriority] after the others. A call that waits for
// many places is not passed by later calls of its priority that need fewer.
type Bulkhead struct {
	word    atomic.Int64 // the places that are free, and the calls so far
	limit   atomic.Int64 // changes with line.mu held
	line    line
	observe observer

	folded  atomic.Uint64 // calls that word does not hold any more
	waited  atomic.Uint64
	refused atomic.Uint64

	full, tooLarge *Error // returned again and again
}

// The word of a Bulkhead holds the number of free places, plus bias, in its low bits and
// the number of calls that were let through above them, so that one instruction changes
// both. The top bit sends every call to where there is a lock: calls wait, or the number
// of calls has reached it.
const (
	placeBits = 23
	placeMask = 1<<placeBits - 1
	bias      = 1 << (placeBits - 1) // free places are negative after the limit was lowered
	oneCall   = 1 << placeBits
	halfCalls = 1 << (62 - placeBits) // half of the calls that fit below the top bit
	topBit    = math.MinInt64
	maxPlaces = 1 << 20
)

func freeIn(word int64) int64 { return word&placeMask - bias }

// NewBulkhead returns a Bulkhead whose places are free. It panics if cfg is not valid.
func NewBulkhead(cfg BulkheadConfig) *Bulkhead {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	b := &Bulkhead{
		observe:  observer{name: cfg.Name, tell: cfg.Observe},
		full:     &Error{Name: cfg.Name, Cause: ErrFull},
		tooLarge: &Error{Name: cfg.Name, Cause: ErrTooLarge},
	}
	b.limit.Store(int64(cfg.Limit))
	b.word.Store(int64(cfg.Limit) + bias)
	b.line.name, b.line.places = cfg.Name, max(0, cfg.Queue)
	b.line.takeLocked = func(w *waiter, _ time.Time) time.Duration {
		if b.takeLocked(int64(w.n)) {
			return 0
		}
		return never
	}
	b.line.mostLocked = func() int { return int(b.limit.Load()) }
	b.line.markLocked = func(waiting bool) {
		if !waiting {
			b.word.And(^topBit)
		} else if b.word.Or(topBit) < 0 {
			b.folded.Add(2 * halfCalls)
		}
	}
	return b
}

// places are a Bulkhead as the [Owner] of its Permits, whose lease is their number.
type places Bulkhead

func (p *places) Answered(uint64, Outcome) {}

func (p *places) Done(lease uint64) {
	b := (*Bulkhead)(p)
	if word := b.word.Add(int64(lease)); word < 0 || freeIn(word) > b.limit.Load() {
		b.released(int64(lease), word)
	}
}

func (b *Bulkhead) permit(n int) Permit { return Permit{owner: (*places)(b), lease: uint64(n)} }

// released serves those that wait, if any do.
func (b *Bulkhead) released(n, word int64) {
	if word < 0 {
		b.line.serve()
	} else {
		b.surplus(n)
	}
}

// surplus panics if more places are free than there are, without those that came back
// last. It looks again with the lock, since the limit may just be changing.
func (b *Bulkhead) surplus(n int64) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if freeIn(b.word.Load()) > b.limit.Load() {
		b.word.Add(-n)
		panic("ratelimit: a Permit was given back twice, by way of a copy")
	}
}

// Allow returns a Permit if a place is free and nobody waits for it, and otherwise an
// [*Error] with [ErrFull].
func (b *Bulkhead) Allow() (Permit, error) {
	if b != nil && b.observe.tell == nil {
		word := b.word.Load()
		if word >= 0 && freeIn(word) > 0 && b.word.CompareAndSwap(word, word+oneCall-1) {
			return b.permit(1), nil
		}
	}
	return b.AllowN(1)
}

// AllowN is [Bulkhead.Allow] for a call that takes n places. It returns an [*Error] with
// [ErrTooLarge] if the Bulkhead has fewer places. A call for no places is always let
// through; a negative n panics.
func (b *Bulkhead) AllowN(n int) (Permit, error) {
	if check(n); b == nil || n == 0 {
		return Permit{}, nil
	}
	if b.admit(int64(n)) {
		return b.granted(context.Background(), n, time.Time{}), nil
	}
	if b.full == nil {
		return Permit{}, &Error{Cause: errBulkheadNotMade}
	}
	err := b.full
	if int64(n) > b.limit.Load() {
		err = b.tooLarge
	}
	b.refused.Add(1)
	if b.observe.tell != nil {
		b.observe.waited(context.Background(), n, time.Time{}, err)
	}
	return Permit{}, err
}

// Acquire waits for a place. It returns an [*Error] at once if the queue is full, and
// when ctx ends first.
func (b *Bulkhead) Acquire(ctx context.Context) (Permit, error) {
	if b != nil && b.observe.tell == nil && ctx.Err() == nil {
		word := b.word.Load()
		if word >= 0 && freeIn(word) > 0 && b.word.CompareAndSwap(word, word+oneCall-1) {
			return b.permit(1), nil
		}
	}
	return b.AcquireN(ctx, 1)
}

// AcquireN is [Bulkhead.Acquire] for a call that takes n places. It returns an
// [*Error] with [ErrTooLarge] if the Bulkhead has fewer places; a negative n panics.
func (b *Bulkhead) AcquireN(ctx context.Context, n int) (Permit, error) {
	if check(n); b == nil {
		return Permit{}, unlimited(ctx)
	}
	var err error
	var since time.Time
	switch {
	case b.full == nil:
		return Permit{}, &Error{Cause: errBulkheadNotMade}
	case ctx.Err() != nil:
		err = ended(b.observe.name, ctx)
	case n == 0:
		return Permit{}, nil
	case b.admit(int64(n)):
	default:
		since = time.Now()
		err = b.line.wait(ctx, &waiter{n: n})
	}
	if err != nil {
		b.refused.Add(1)
		b.observe.waited(ctx, n, since, err)
		return Permit{}, err
	}
	if !since.IsZero() {
		b.waited.Add(1)
	}
	return b.granted(ctx, n, since), nil
}

// granted is the end of a call to which n places were given. They are given back if
// Observe panics.
func (b *Bulkhead) granted(ctx context.Context, n int, since time.Time) Permit {
	if b.observe.tell != nil {
		told := false
		defer func() {
			if !told {
				(*places)(b).Done(uint64(n))
			}
		}()
		b.observe.waited(ctx, n, since, nil)
		told = true
	}
	return b.permit(n)
}

// SetLimit changes the number of places. If it is lowered, the calls under way go on.
// A call that waits for more places than there are now is refused when its turn comes.
// SetLimit panics if limit is not valid, as [NewBulkhead] does, or b is nil.
func (b *Bulkhead) SetLimit(limit int) {
	if b == nil {
		panic("ratelimit: a nil *Bulkhead has no limit to change; make one with NewBulkhead")
	}
	if b.full == nil {
		panic(bulkheadNotMade)
	}
	if err := validPlaces("Bulkhead.SetLimit: ", limit); err != nil {
		panic(err.Error())
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	b.word.Add(int64(limit) - b.limit.Load())
	b.limit.Store(int64(limit))
	b.line.serveLocked()
}

// admit takes n places if they are free and nobody waits, and otherwise only reads.
func (b *Bulkhead) admit(n int64) bool {
	for {
		word := b.word.Load()
		switch {
		case word < 0 && b.line.waiting.Load() > 0, freeIn(word) < n:
			return false
		case word < 0:
			b.fold()
		case b.word.CompareAndSwap(word, word+oneCall-n):
			return true
		}
	}
}

// takeLocked takes n places if they are free, even while calls wait. It is for the call
// whose turn it is.
func (b *Bulkhead) takeLocked(n int64) bool {
	b.foldLocked()
	for {
		word := b.word.Load()
		if freeIn(word) < n {
			return false
		}
		if b.word.CompareAndSwap(word, word+oneCall-n) {
			return true
		}
	}
}

func (b *Bulkhead) fold() {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	b.foldLocked()
}

// foldLocked moves the calls out of the word if they fill it, or soon will. A call that
// does not wait leaves the word alone while the top bit is set.
func (b *Bulkhead) foldLocked() {
	switch word := b.word.Load(); {
	case word < 0 && b.line.waiting.Load() == 0:
		b.folded.Add(2 * halfCalls)
		b.word.And(^topBit)
	case word < 0 && word&(halfCalls<<placeBits) != 0:
		b.folded.Add(halfCalls)
		b.word.And(^(halfCalls << placeBits))
	}
}
