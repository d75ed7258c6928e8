package ratelimit

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"
)

// A Bulkhead limits how many calls are under way at once, so that one slow backend
// cannot use up what all calls share. It is safe for concurrent use, starts no
// goroutine, and needs no Close. A nil *Bulkhead has no limit. Make it with
// [NewBulkhead].
//
// A call may take more than one place. Calls that wait are served in the order in
// which they came, those of [LowPriority] after the others. A call that waits for
// many places is not passed by later calls of its priority that need fewer.
type Bulkhead struct {
	free    atomic.Int64 // places; less queued while calls wait
	limit   atomic.Int64 // never less than what is free; changes with line.mu held
	line    line
	observe observer

	full, tooLarge *Error // returned again and again
}

// maxPlaces bounds the number of places, so that queued, which is taken off the free
// ones while calls wait, makes every count of them negative. In that way one
// number says all.
const (
	maxPlaces = 1 << 40
	queued    = 1 << 50
)

// NewBulkhead returns a Bulkhead whose places are free. It panics if cfg is not valid.
func NewBulkhead(cfg BulkheadConfig) *Bulkhead {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	b := &Bulkhead{
		observe:  observer{cfg.Name, cfg.Observe},
		full:     &Error{Name: cfg.Name, Cause: ErrFull},
		tooLarge: &Error{Name: cfg.Name, Cause: ErrTooLarge},
	}
	b.limit.Store(int64(cfg.Limit))
	b.free.Store(int64(cfg.Limit))
	b.line.name, b.line.places = cfg.Name, max(0, cfg.Queue)
	b.line.takeLocked = func(w *waiter, _ time.Time) time.Duration {
		if b.take(int64(w.n)) {
			return 0
		}
		return never
	}
	b.line.mostLocked = func() int { return int(b.limit.Load()) }
	b.line.markLocked = func(waiting bool) {
		if waiting {
			b.free.Add(-queued)
		} else {
			b.free.Add(queued)
		}
	}
	return b
}

// places are a Bulkhead as the [Owner] of its Permits, whose lease is their number.
type places Bulkhead

func (p *places) Answered(uint64, Outcome) {}

func (p *places) Done(lease uint64) {
	b := (*Bulkhead)(p)
	if free := b.free.Add(int64(lease)); free < -queued/2 || free > b.limit.Load() {
		b.released(int64(lease), free)
	}
}

func (b *Bulkhead) permit(n int) Permit { return Permit{owner: (*places)(b), lease: uint64(n)} }

// released serves those that wait, if any do.
func (b *Bulkhead) released(n, free int64) {
	if free < -queued/2 {
		b.line.serve()
	} else {
		b.surplus(n)
	}
}

// surplus panics if more places are free than there are, without those that came back
// last.
func (b *Bulkhead) surplus(n int64) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if free := b.free.Load(); free > b.limit.Load() {
		b.free.Add(-n)
		panic("ratelimit: a Permit was given back twice, by way of a copy")
	}
}

// Allow returns a Permit if a place is free and nobody waits for it, and otherwise an
// [*Error] with [ErrFull].
func (b *Bulkhead) Allow() (Permit, error) {
	if b != nil && b.observe.tell == nil {
		free := b.free.Load()
		if free <= 0 {
			return Permit{}, b.full
		}
		if b.free.CompareAndSwap(free, free-1) {
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
	err := b.full
	if n > 1 && n > b.Stats().Limit {
		err = b.tooLarge
	}
	b.observe.waited(context.Background(), n, time.Time{}, err)
	return Permit{}, err
}

// Acquire waits for a place. It returns an [*Error] at once if the queue is full, and
// when ctx ends first.
func (b *Bulkhead) Acquire(ctx context.Context) (Permit, error) {
	if b != nil && b.observe.tell == nil && ctx.Err() == nil {
		if free := b.free.Load(); free > 0 && b.free.CompareAndSwap(free, free-1) {
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
		b.observe.waited(ctx, n, since, err)
		return Permit{}, err
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
// SetLimit panics if limit is less than 1, or b is nil.
func (b *Bulkhead) SetLimit(limit int) {
	if b == nil {
		panic("ratelimit: a nil *Bulkhead has no limit to change; make one with NewBulkhead")
	}
	if err := (BulkheadConfig{Limit: limit}).Validate(); err != nil {
		panic(err.Error())
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if more := int64(limit) - b.limit.Load(); more > 0 {
		b.limit.Add(more)
		b.free.Add(more)
	} else {
		b.free.Add(more)
		b.limit.Add(more)
	}
	b.line.serveLocked()
}

// BulkheadStats is a snapshot of a [Bulkhead].
type BulkheadStats struct {
	Name    string // BulkheadConfig.Name
	Limit   int    // places
	InUse   int    // places taken; more than Limit after that was lowered
	Waiting int    // calls in the queue
}

// LogValue implements [slog.LogValuer]. It shows only what applies.
func (s BulkheadStats) LogValue() slog.Value {
	return slog.GroupValue(append(named(s.Name),
		slog.Int("limit", s.Limit), slog.Int("in_use", s.InUse), slog.Int("waiting", s.Waiting))...)
}

// Stats returns a snapshot. That of a nil *Bulkhead says only that it has no limit.
func (b *Bulkhead) Stats() BulkheadStats {
	if b == nil {
		return BulkheadStats{Limit: math.MaxInt}
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	limit, free := b.limit.Load(), b.free.Load()
	if free < -queued/2 {
		free += queued
	}
	return BulkheadStats{
		Name:    b.observe.name,
		Limit:   int(limit),
		InUse:   int(limit - free),
		Waiting: int(b.line.waiting.Load()),
	}
}

// admit takes n places if they are free and nobody waits, and otherwise only reads.
func (b *Bulkhead) admit(n int64) bool {
	for {
		free := b.free.Load()
		if free < n {
			return false
		}
		if b.free.CompareAndSwap(free, free-n) {
			return true
		}
	}
}

// take takes n places if they are free, even while calls wait. It is for the call whose
// turn it is.
func (b *Bulkhead) take(n int64) bool {
	for {
		free := b.free.Load()
		real := free
		if free < -queued/2 {
			real += queued
		}
		if real < n {
			return false
		}
		if b.free.CompareAndSwap(free, free-n) {
			return true
		}
	}
}
