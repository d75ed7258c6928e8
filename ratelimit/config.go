package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// Config describes a [Limiter].
type Config struct {
	// Name is what the limit is called in events, errors, statistics and the header
	// fields of [Decision.WriteHeader].
	Name string

	// Rate is the number of tokens per second. It is required; [rate.Every] makes
	// one from an interval, and [rate.Inf] means no limit. The time between two
	// tokens is whole nanoseconds, rounded up. A rate that this lowers by more than
	// 1 % is not valid; all rates up to 10 million are. Limit bytes in KiB.
	Rate rate.Limit
	// Burst is how many tokens the bucket holds, and so how many can be taken at
	// once. 0 means 1. It must not take more than 70 years to fill.
	Burst int
	// StartEmpty says that the bucket is empty at first. Without it, each process of
	// a fleet that restarts begins with a burst.
	StartEmpty bool

	// Queue is how many calls may wait, at most 1,048,576; one more is refused. 0 means
	// 1024, negative means none.
	Queue int

	// Observe is told of each decision. It is called in the goroutine of the call,
	// with the context of the call or, where there is none, [context.Background].
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	const of = "Config."
	return errors.Join(validTerms(of, c.Rate, c.Burst), validBurst(of, c.Burst), validQueue(of, c.Queue))
}

// validTerms says what is wrong with a rate, and with a burst of 1 or more. Its errors,
// and those of the others, begin with whose rate it is.
func validTerms(of string, r rate.Limit, burst int) error {
	var errs []error
	if !(r > 0) {
		errs = append(errs, fmt.Errorf("ratelimit: %sRate is %v, want more than 0", of, r))
	}
	if kept := rate.Limit(float64(time.Second) / float64(interval(r))); r > 0 && r != rate.Inf && kept < r*0.99 {
		errs = append(errs, fmt.Errorf("ratelimit: %sRate is %v, which would be kept as %v, since the time between tokens is whole nanoseconds; use that rate, or count in larger units", of, r, kept))
	}
	if r > 0 && r != rate.Inf && float64(interval(r))*float64(max(1, burst)) > longest {
		errs = append(errs, fmt.Errorf("ratelimit: %sBurst is %d, which takes more than 70 years to fill at a Rate of %v", of, burst, r))
	}
	return errors.Join(errs...)
}

func validBurst(of string, burst int) error {
	if burst < 0 {
		return fmt.Errorf("ratelimit: %sBurst is %d, want 1 or more, or 0 for 1", of, burst)
	}
	return nil
}

func validQueue(of string, n int) error {
	if n > maxQueue {
		return fmt.Errorf("ratelimit: %sQueue is %d, want at most %d, 0 for the default, or less for none", of, n, maxQueue)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Burst = cmp.Or(c.Burst, 1)
	c.Queue = cmp.Or(c.Queue, 1024)
	return c
}

// KeyedConfig describes a [Keyed].
type KeyedConfig[K comparable] struct {
	// Name is what the limit is called in events, errors, statistics and the header
	// fields of [Decision.WriteHeader].
	Name string

	// Rate is the number of tokens per second for each key. It is required unless
	// For is set. See [Config].
	Rate rate.Limit
	// Burst is how many tokens the bucket of each key holds. 0 means 1. See [Config].
	Burst int
	// For gives the limit of a key instead. Its types are those of
	// golang.org/x/time/rate. It is called on every use of the key and must be fast.
	// A rate of 0 or less lets nothing through. A burst below 1 means 1. A rate is
	// lowered until the time between two tokens is whole nanoseconds.
	//
	// It may answer differently at any time. A key whose limit is raised is in debt
	// for no longer than its new bucket takes to fill. Calls that wait for it learn
	// of the change from the next call for the key, or within a second.
	For func(K) (limit rate.Limit, burst int) `json:"-"`

	// Label gives the Key of an [Event]. It is called only if Observe is set. nil: events
	// do not say which key they are about, since keys are many and may be secret.
	Label func(K) string `json:"-"`

	// MaxKeys is how many keys are remembered, in about 45 bytes each. A key whose
	// bucket is full is forgotten first: it loses nothing. If another key must go, a
	// small record of its debt stays, so that nobody gets a fresh bucket by being
	// forgotten. A new key may share such a record, and then begins with fewer tokens
	// or with none. This happens if more than about MaxKeys*Rate new keys come in a
	// second: 655 with 65,536 keys and a token every 100 s.
	//
	// 0 means as many as new keys come while a bucket fills, if 1,000 come in a
	// second: 1000*Burst/Rate, but at least 65,536 and at most 1,048,576. More than
	// 2,147,483,647 is not valid.
	MaxKeys int

	// Queue is how many calls may wait for each key, at most 1,048,576; one more is
	// refused. 0 means 1024, negative means none.
	Queue int

	// Observe is told of each decision. It is called in the goroutine of the call,
	// with the context of the call or, where there is none, [context.Background].
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c KeyedConfig[K]) Validate() error {
	const of = "KeyedConfig."
	var errs []error
	if c.For == nil {
		errs = append(errs, validTerms(of, c.Rate, c.Burst), validBurst(of, c.Burst))
	}
	if c.MaxKeys < 0 || c.MaxKeys > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("ratelimit: %sMaxKeys is %d, want 1 to %d, or 0 for the default", of, c.MaxKeys, math.MaxInt32))
	}
	return errors.Join(append(errs, validQueue(of, c.Queue))...)
}

func (c KeyedConfig[K]) withDefaults() KeyedConfig[K] {
	c.Burst = cmp.Or(c.Burst, 1)
	if c.MaxKeys == 0 {
		c.MaxKeys = minKeys
		if c.Rate > 0 {
			c.MaxKeys = int(min(max(minKeys, 1000*float64(c.Burst)/float64(c.Rate)), maxKeys))
		}
	}
	c.Queue = cmp.Or(c.Queue, 1024)
	return c
}

// The default of MaxKeys lies between these.
const (
	minKeys = 1 << 16
	maxKeys = 1 << 20
)

// BulkheadConfig describes a [Bulkhead].
type BulkheadConfig struct {
	// Name is what the limit is called in events, errors and statistics.
	Name string
	// Limit is the number of places: 1 to 1,048,576. A call takes one place, unless it
	// asks for more. Limit is required.
	Limit int
	// Queue is how many calls may wait, at most 1,048,576; one more is refused. 0 means
	// as many as there are places, negative means none. A queue of that length evens out calls that
	// come unevenly. A much longer one only makes every call late.
	Queue int

	// Observe is told of each decision. It is called in the goroutine of the call,
	// with the context of the call or, where there is none, [context.Background].
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c BulkheadConfig) Validate() error {
	const of = "BulkheadConfig."
	return errors.Join(validPlaces(of, c.Limit), validQueue(of, c.Queue))
}

func validPlaces(of string, limit int) error {
	if limit < 1 || limit > maxPlaces {
		return fmt.Errorf("ratelimit: %sLimit is %d, want 1 to %d", of, limit, maxPlaces)
	}
	return nil
}

func (c BulkheadConfig) withDefaults() BulkheadConfig {
	c.Queue = cmp.Or(c.Queue, min(c.Limit, maxQueue))
	return c
}
