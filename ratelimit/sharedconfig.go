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

// SharedConfig describes a [Shared]. All processes use the same Rate, Burst, For and
// Lease.
type SharedConfig struct {
	// Name is what the limit is called in events, errors, statistics and the header
	// fields of [Decision.WriteHeader]. It is not part of the key in the store.
	Name string
	// Store keeps the limit. It is required.
	Store Store `json:"-"`
	// Rate is the number of tokens per second for each key, over all processes. It is
	// required unless For is set. See [Config].
	Rate rate.Limit
	// Burst is how many tokens the bucket of each key holds. 0 means 1. It takes at
	// most 100 days to fill.
	Burst int
	// For gives the limit of a key instead, as [KeyedConfig] says. It is the same in
	// all processes.
	For func(key string) (limit rate.Limit, burst int) `json:"-"`
	// Lease is for how long a process takes tokens in advance. A longer time means
	// fewer questions to the store, and more of what one process holds while another
	// could use it. 0 means 250ms; the most is 10s. Negative: the store is
	// asked about each call, so that calls that wait get a token for each round trip at
	// most.
	Lease time.Duration
	// StoreTimeout is how long the store may take to answer. Then it counts as failed,
	// and is left alone for 1s, which doubles up to 30s. 0 means 50ms.
	StoreTimeout time.Duration
	// OnFailure says what happens to calls then. The zero value is [LastShare].
	OnFailure FailurePolicy
	// Label gives the Key of an [Event], as [KeyedConfig] says.
	Label func(key string) string `json:"-"`
	// MaxKeys is how many keys this process remembers. The one that was not used for
	// longest is forgotten first: the tokens that it holds are lost, and the store is
	// asked again. 0 means 65,536.
	MaxKeys int
	// Queue is how many calls may wait for each key; one more is refused. 0 means
	// 1024, negative means none.
	Queue int
	// Observe is told of each decision, and when the store ceases to answer or answers
	// again. See [Config].
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c SharedConfig) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("ratelimit: SharedConfig.Store is nil; redisstore.New makes one"))
	}
	if c.For == nil {
		errs = append(errs, validTerms("SharedConfig.", c.Rate, c.Burst), validBurst("SharedConfig.", c.Burst))
		if float64(c.Rate)*maxFill.Seconds() < float64(max(1, c.Burst)) && c.Rate > 0 {
			errs = append(errs, fmt.Errorf("ratelimit: SharedConfig.Burst of %d at a Rate of %v takes more than 100 days to fill", c.Burst, c.Rate))
		}
	}
	if c.Lease > maxLease {
		errs = append(errs, fmt.Errorf("ratelimit: SharedConfig.Lease is %v, want at most %v", c.Lease, maxLease))
	}
	if c.StoreTimeout < 0 || c.StoreTimeout > maxLease {
		errs = append(errs, fmt.Errorf("ratelimit: SharedConfig.StoreTimeout is %v, want more than 0 and at most %v, or 0 for 50ms", c.StoreTimeout, maxLease))
	}
	if c.OnFailure > FailClosed {
		errs = append(errs, fmt.Errorf("ratelimit: SharedConfig.OnFailure is %v, want LastShare, FailOpen or FailClosed", c.OnFailure))
	}
	if c.MaxKeys < 0 || c.MaxKeys > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("ratelimit: SharedConfig.MaxKeys is %d, want 1 to %d, or 0 for 65,536", c.MaxKeys, math.MaxInt32))
	}
	errs = append(errs, validQueue("SharedConfig.", c.Queue))
	return errors.Join(errs...)
}

const (
	// A store counts whole microseconds, in doubles where it is Redis: products of
	// nanoseconds must stay exact.
	maxFill  = 100 * 24 * time.Hour
	maxLease = 10 * time.Second
)

func (c SharedConfig) withDefaults() SharedConfig {
	c.Burst = cmp.Or(c.Burst, 1)
	c.Lease = cmp.Or(c.Lease, 250*time.Millisecond)
	c.StoreTimeout = cmp.Or(c.StoreTimeout, 50*time.Millisecond)
	c.MaxKeys = cmp.Or(c.MaxKeys, minKeys)
	c.Queue = cmp.Or(c.Queue, 1024)
	return c
}
