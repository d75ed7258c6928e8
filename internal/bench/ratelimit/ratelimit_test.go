// Package ratelimit_test measures belay's rate limits beside their peers.
//
// The floor is one clock read: no limiter can be exact without it.
package ratelimit_test

import (
	"context"
	"testing"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"github.com/didip/tollbooth/v7"
	toll "github.com/didip/tollbooth/v7/limiter"
	failsafe "github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	uber "go.uber.org/ratelimit"
	"golang.org/x/time/rate"
)

func BenchmarkRatelimit(b *testing.B) {
	b.Run("allow", allow)
	b.Run("allow-par", allowPar)
	b.Run("deny", deny)
	b.Run("deny-par", denyPar)
	b.Run("wait-ready", waitReady)
	b.Run("wait-ready-par", waitReadyPar)
	b.Run("keyed-zipf", keyedZipf)
	b.Run("keyed-zipf-par", keyedZipfPar)
	b.Run("keyed-evict", keyedEvict)
	b.Run("keyed-evict-par", keyedEvictPar)
	b.Run("bulkhead", bulkhead)
	b.Run("bulkhead-par", bulkheadPar)
	b.Run("bulkhead-full", bulkheadFull)
	b.Run("bulkhead-full-par", bulkheadFullPar)
}

// tollbooth, sethvargo and ulule have a limit for each key; here it is one.
const key = "key"

// A generous limiter allows a call a nanosecond and a burst of a million, more
// than can be called; a stingy one allows a single call an hour. Those that count
// calls in fixed periods have the same limit for a period.
const (
	generous = 1e9
	million  = 1_000_000
)

var stingy = rate.Every(time.Hour)

func generousBelay() *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Config{Rate: generous, Burst: million})
}

func stingyBelay() *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Config{Rate: stingy, Burst: 1})
}

func generousXTime() *rate.Limiter { return rate.NewLimiter(generous, million) }

func stingyXTime() *rate.Limiter { return rate.NewLimiter(stingy, 1) }

func generousUber() uber.Limiter { return uber.New(generous) }

func generousFailsafe() failsafe.RateLimiter[any] {
	return failsafe.NewBursty[any](generous, time.Second)
}

func stingyFailsafe() failsafe.RateLimiter[any] { return failsafe.NewBursty[any](1, time.Hour) }

func generousTollbooth() *toll.Limiter { return tollbooth.NewLimiter(generous, nil) }

func stingyTollbooth() *toll.Limiter { return tollbooth.NewLimiter(float64(stingy), nil) }

func generousUlule() *ulule.Limiter {
	return ulule.New(memory.NewStore(), ulule.Rate{Period: time.Second, Limit: generous})
}

func stingyUlule() *ulule.Limiter {
	return ulule.New(memory.NewStore(), ulule.Rate{Period: time.Hour, Limit: 1})
}

func generousSethvargo(b *testing.B) limiter.Store { return sethvargo(b, generous, time.Second) }

func stingySethvargo(b *testing.B) limiter.Store { return sethvargo(b, 1, time.Hour) }

func sethvargo(b *testing.B, tokens uint64, interval time.Duration) limiter.Store {
	b.Helper()
	store, err := memorystore.New(&memorystore.Config{Tokens: tokens, Interval: interval})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close(context.Background()) })
	return store
}

// mustAllow fails the benchmark unless a thousand calls in a row are allowed.
func mustAllow(b *testing.B, allow func() bool) {
	b.Helper()
	for i := range 1000 {
		if !allow() {
			b.Fatalf("call %d is denied", i+1)
		}
	}
}

// mustDeny fails the benchmark unless the first call is allowed and no other.
func mustDeny(b *testing.B, allow func() bool) {
	b.Helper()
	if !allow() {
		b.Fatal("the first call is denied")
	}
	for i := range 1000 {
		if allow() {
			b.Fatalf("call %d is allowed", i+2)
		}
	}
}
