package recipes

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startRedis starts a server of its own, without a file.
func startRedis(t *testing.T) *redis.Options {
	if testing.Short() {
		t.Skip("starts a process")
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("there is no redis-server in the PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	server := exec.Command(path, "--bind", "127.0.0.1", "--port", fmt.Sprint(addr.Port), "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	options := &redis.Options{Addr: addr.String(), MaxRetries: -1, PoolSize: 1, PoolTimeout: 10 * time.Millisecond}
	client := redis.NewClient(&redis.Options{Addr: addr.String(), MaxRetries: 1000})
	defer client.Close()
	if err := client.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	return options
}

func TestRedis(t *testing.T) {
	client := redis.NewClient(startRedis(t))
	defer client.Close()
	if err := client.Set(ctx, "name", "Green tea", 0).Err(); err != nil {
		t.Fatal(err)
	}
	nobody := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer nobody.Close()
	for _, tt := range []struct {
		name string
		op   func(context.Context) error
		want result
	}{
		{"a key that is there", func(ctx context.Context) error { return client.Get(ctx, "name").Err() }, fine},
		{"one that is not", func(ctx context.Context) error { return client.Get(ctx, "price").Err() }, answer},
		{"another type", func(ctx context.Context) error { return client.LPush(ctx, "name", 1).Err() }, answer},
		{"an unknown command", func(ctx context.Context) error { return client.Do(ctx, "BREW").Err() }, answer},
		{"no server", func(ctx context.Context) error { return nobody.Get(ctx, "name").Err() }, theirs},
		{"a pool that is exhausted", func(ctx context.Context) error {
			held := client.Conn()
			defer held.Close()
			if err := held.Ping(ctx).Err(); err != nil {
				return err
			}
			return client.Get(ctx, "name").Err()
		}, ours},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := judge(t, RedisDecision, RedisOutcome, tt.op); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}

	// A server that must not be written to is in trouble.
	if err := client.ReplicaOf(ctx, "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if got := judge(t, RedisDecision, RedisOutcome, func(ctx context.Context) error { return client.Set(ctx, "name", "x", 0).Err() }); got != theirs {
		t.Errorf("a server that is read only: %+v, want %+v", got, theirs)
	}
}
