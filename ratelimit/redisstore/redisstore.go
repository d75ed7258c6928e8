// Package redisstore keeps the limits of [ratelimit.Shared] in Redis, so that they hold
// over many processes:
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
//	tenants := ratelimit.NewShared(ratelimit.SharedConfig{
//		Store: redisstore.New(redisstore.Config{Client: client}),
//		Rate:  100,
//		Burst: 20,
//	})
//
// A limit is one hash of a few fields in Redis, which expires when its bucket is full and
// its processes are gone. A question is one script, and so atomic. It counts by the clock
// of Redis alone, in whole microseconds. It needs Redis 5 or later, or Valkey, and works
// with a cluster: each question is about one key.
//
// A question that may have reached the server is never repeated, whatever MaxRetries the
// client has: it could take tokens twice. A server that does not know the script (after
// SCRIPT FLUSH, a restart, a failover) is sent the whole of it.
package redisstore

import (
	"cmp"
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"github.com/redis/go-redis/v9"
)

// Config describes a [Store].
type Config struct {
	// Client is a *redis.Client, *redis.ClusterClient or *redis.Ring. It is required.
	// Its owner closes it.
	Client Client `json:"-"`
	// Prefix is what the keys in Redis begin with. "" means "ratelimit:". The rest of a
	// key is that of the call, in the clear: hash one that is secret.
	Prefix string
}

// A Client runs a command, as all clients of go-redis do.
type Client interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Validate reports what is wrong with c, or nil.
func (c Config) Validate() error {
	if c.Client == nil {
		return errors.New("redisstore: Config.Client is nil; redis.NewClient makes one")
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, "ratelimit:")
	return c
}

// A Store is a [ratelimit.Store] on Redis. It is safe for concurrent use. Make it with
// [New].
type Store struct{ cfg Config }

// New returns a Store. It does not connect. It panics if cfg is not valid.
func New(cfg Config) *Store {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	return &Store{cfg.withDefaults()}
}

//go:embed lease.lua
var script string

var sha = func() string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}()

// Lease implements [ratelimit.Store]. Its errors are those of the client.
func (s *Store) Lease(ctx context.Context, key string, r ratelimit.LeaseRequest) (ratelimit.Lease, error) {
	numbers, err := s.run(ctx, s.cfg.Prefix+key, r.Owner, int64(r.Interval), r.Burst, r.N, r.Least,
		r.Ahead.Microseconds(), r.Keep.Microseconds(), r.Back, r.BackN, r.Within.Microseconds())
	if err != nil {
		return ratelimit.Lease{}, err
	}
	if len(numbers) != 5 {
		return ratelimit.Lease{}, fmt.Errorf("redisstore: the script has returned %d numbers, want 5", len(numbers))
	}
	return ratelimit.Lease{
		N:          int(numbers[0]),
		Begin:      time.Duration(numbers[1]) * time.Microsecond,
		RetryAfter: time.Duration(numbers[2]) * time.Microsecond,
		Owners:     int(numbers[3]),
		End:        numbers[4],
	}, nil
}

// run runs the script on one key. Only if the server does not know it, and so has done
// nothing, it is run once more.
func (s *Store) run(ctx context.Context, key string, args ...any) ([]int64, error) {
	numbers, err := s.try(ctx, "EVALSHA", sha, key, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		numbers, err = s.try(ctx, "EVAL", script, key, args)
	}
	return numbers, err
}

func (s *Store) try(ctx context.Context, name, text, key string, args []any) ([]int64, error) {
	cmd := once{redis.NewIntSliceCmd(ctx, append([]any{name, text, 1, key}, args...)...)}
	if err := s.cfg.Client.Process(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}

// once is a command that a client does not repeat.
type once struct{ *redis.IntSliceCmd }

func (once) NoRetry() bool { return true }
