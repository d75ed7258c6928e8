package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Store keeps the limits that processes share: for each key, the time until which
// tokens have been given out. The package redisstore beside this one has a Store on
// Redis. A Store is safe for concurrent use.
//
// What is given out is the schedule of a key: time has a mark every Interval, each mark
// is a token, and each is given out once. A token may be used from Burst intervals
// before its mark on, so that Burst of them can be used at once after a pause. A mark
// that passes without having been given out is lost. What has been given out reaches at
// most Burst+N intervals and Ahead beyond now: a schedule that is further on, as after a
// raised limit or a step of the clock, is cut there.
type Store interface {
	// Lease gives the next r.N marks of key's schedule to a process, or as many of
	// them as may be used within r.Within. If they are fewer than r.Least it gives none
	// and says when to ask again. All of this is one atomic step. A request that may
	// have been carried out is not repeated.
	Lease(ctx context.Context, key string, r LeaseRequest) (Lease, error)
}

// A LeaseRequest is what a process asks of a [Store].
type LeaseRequest struct {
	Owner    string        // the process, by a random text that is its own
	Interval time.Duration // between two tokens
	Burst    int           // tokens that the bucket holds
	N        int           // tokens that are wanted
	Least    int           // fewer are of no use
	Within   time.Duration // the last of them may be used at most so long after now
	Ahead    time.Duration // the greatest Within that any process asks for
	Keep     time.Duration // how long the process is counted as an owner; 0: no longer

	// Back says that the last BackN tokens of the lease whose End was Back will not be
	// used. They are given out again, before N is looked at, unless others have been
	// given out after them.
	Back  int64
	BackN int
}

// A Lease is what a [Store] answers. Times are from the store's now.
type Lease struct {
	N          int           // tokens; 0 for none
	Begin      time.Duration // up to where marks had been given out or had passed: the next mark is an interval later
	RetryAfter time.Duration // if N is 0: when Least of them may be used
	Owners     int           // processes that have asked for this key within their Keep
	End        int64         // up to where marks are given out now, as the store counts time
}

// wrong is what cannot be the answer to r.
func (r *LeaseRequest) wrong(l Lease) error {
	const longest = 2 * maxFill
	if l.N < 0 || l.N > r.N || l.N > 0 && l.N < r.Least || l.Begin < 0 || l.Begin > longest || l.Owners < 0 || l.Owners > 1e6 ||
		l.N == 0 && r.N > 0 && (l.RetryAfter <= 0 || l.RetryAfter > longest) {
		return fmt.Errorf("the answer to %+v is %+v", *r, l)
	}
	return nil
}

// ask asks the store, and returns within its time whatever the store does.
func (s *Shared) ask(key string, r LeaseRequest) (Lease, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.StoreTimeout)
	defer cancel()
	type answer struct {
		lease Lease
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		a := answer{err: errors.New("it has called runtime.Goexit")}
		defer func() { answers <- a }()
		if s.cfg.Observe != nil {
			defer func() {
				if r := recover(); r != nil {
					a.err = fmt.Errorf("it has panicked: %v", r)
				}
			}()
		}
		a.lease, a.err = s.cfg.Store.Lease(ctx, key, r)
	}()
	select {
	case a := <-answers:
		if a.err == nil {
			a.err = r.wrong(a.lease)
		}
		return a.lease, a.err
	case <-ctx.Done():
		return Lease{}, ctx.Err()
	}
}
