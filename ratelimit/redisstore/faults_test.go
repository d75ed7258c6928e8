//go:build unix

package redisstore

import (
	"context"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"github.com/redis/go-redis/v9"
)

// Four processes use one limit in Redis while that is well, slow, dead, restarted,
// replaced by a replica, full, without its scripts, or finds a clock that is ahead. Calls go on
// in each case, and never more of them than the docs say. Logged is a table.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("runs in real time and kills processes")
	}
	const perSecond, burst, lease, timeout = 1000, 20, 250 * time.Millisecond, 50 * time.Millisecond
	for _, tt := range []struct {
		name string
		hurt func(t *testing.T, f *fleet)
		mend func(t *testing.T, f *fleet)
		lost int // leases and buckets that may be given out twice
	}{
		{name: "healthy"},
		{name: "slow", hurt: func(t *testing.T, f *fleet) { f.main.cmd.Process.Signal(syscall.SIGSTOP) },
			mend: func(t *testing.T, f *fleet) { f.main.cmd.Process.Signal(syscall.SIGCONT) }},
		{name: "dead", hurt: func(t *testing.T, f *fleet) { f.main.kill() }},
		{name: "restarted", hurt: func(t *testing.T, f *fleet) { f.main.kill(); f.main.start(t) }, lost: 1},
		{name: "failed over", hurt: failOver, lost: 1},
		{name: "full", hurt: func(t *testing.T, f *fleet) { f.setMemory("1") }, mend: func(t *testing.T, f *fleet) { f.setMemory("0") }},
		{name: "scripts flushed", hurt: func(t *testing.T, f *fleet) {
			f.direct(f.main, func(c *redis.Client) error { return c.ScriptFlush(t.Context()).Err() })
		}},
		{name: "clock stepped", hurt: func(t *testing.T, f *fleet) {
			f.direct(f.main, func(c *redis.Client) error {
				return c.HSet(t.Context(), "ratelimit:tenant", "end", time.Now().Add(time.Hour).UnixMicro()).Err()
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fleet{t: t, main: startRedis(t)}
			f.door = openDoor(t, f.main.addr)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			for range 4 { // each knows of all before it begins
				client := redis.NewClient(&redis.Options{Addr: f.door.Addr().String()})
				defer client.Close()
				s := ratelimit.NewShared(ratelimit.SharedConfig{Store: New(Config{Client: client}), Rate: perSecond, Burst: burst, Lease: lease, StoreTimeout: timeout})
				f.shared = append(f.shared, s)
			}
			for f.shared[3].Stats().Owners < 4 || f.shared[0].Stats().Owners < 4 {
				for _, s := range f.shared {
					s.Take(ctx, "tenant", 1)
				}
				time.Sleep(lease)
			}
			asked, failed := 0, 0
			for _, s := range f.shared {
				asked -= int(s.Stats().Asked)
				for range 8 {
					wg.Go(func() {
						for s.Wait(ctx, "tenant") == nil {
							f.add()
						}
					})
				}
			}
			f.reach(2 * perSecond)
			if tt.hurt != nil {
				tt.hurt(t, f)
			}
			f.reach(4 * perSecond)
			if tt.mend != nil {
				tt.mend(t, f)
			}
			f.reach(6 * perSecond)
			cancel()
			wg.Wait()

			for _, s := range f.shared {
				asked += int(s.Stats().Asked)
				failed += int(s.Stats().StoreFailed)
			}
			span := f.calls[len(f.calls)-1].Sub(f.calls[0])
			// While the store is down, each goes on at its share, after what it held.
			slack := burst + perSecond*(2*lease+timeout).Seconds()
			if failed > 0 {
				slack += perSecond * time.Second.Seconds()
			}
			slack += float64(tt.lost) * (burst + 4*2*perSecond*lease.Seconds())
			over := exceeded(f.calls, perSecond, slack)
			t.Logf("%-16s %6.0f calls a second, %5.1f over Burst+Rate*t at worst, %3d questions per 1,000 calls, %d failed",
				tt.name, float64(len(f.calls))/span.Seconds(), exceeded(f.calls, perSecond, burst), 1000*asked/len(f.calls), failed)
			if over > 0 {
				t.Errorf("exceeded by %v", over)
			}
			if tt.name == "healthy" && 1000*asked/len(f.calls) > 20 {
				t.Errorf("%d questions for %d calls, want at most 20 per 1,000", asked, len(f.calls))
			}
		})
	}
}

// A fleet is four processes that call, behind a door to a server.
type fleet struct {
	t      *testing.T
	main   *server
	door   *door
	shared []*ratelimit.Shared

	mu    sync.Mutex
	calls []time.Time
}

func (f *fleet) add() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, time.Now())
}

func (f *fleet) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// reach waits until so many calls were made: if none goes on, the test ends by its time.
func (f *fleet) reach(n int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for f.count() < n {
		<-tick.C
	}
}

func (f *fleet) direct(s *server, do func(*redis.Client) error) {
	client := redis.NewClient(&redis.Options{Addr: s.addr})
	defer client.Close()
	if err := do(client); err != nil {
		f.t.Error(err)
	}
}

// setMemory limits the server's memory: it refuses to write above that.
func (f *fleet) setMemory(bytes string) {
	f.direct(f.main, func(c *redis.Client) error {
		return c.ConfigSet(f.t.Context(), "maxmemory", bytes).Err()
	})
}

// failOver replaces the server by a replica that has not got its last writes.
func failOver(t *testing.T, f *fleet) {
	host, port, _ := net.SplitHostPort(f.main.addr)
	replica := startRedis(t, "--replicaof", host+" "+port)
	f.direct(replica, func(c *redis.Client) error {
		for c.Exists(t.Context(), "ratelimit:tenant").Val() == 0 {
			time.Sleep(time.Millisecond)
		}
		return c.ReplicaOf(t.Context(), "no", "one").Err()
	})
	n := f.count()
	f.reach(n + 300) // which the replica does not hear of
	f.door.lead(replica.addr)
	f.main.kill()
}

// exceeded is by how many calls slack + perSecond*t was exceeded in the worst span t.
func exceeded(calls []time.Time, perSecond, slack float64) (worst float64) {
	calls = slices.Clone(calls)
	slices.SortFunc(calls, time.Time.Compare)
	tokens := slack
	for i, at := range calls {
		if i > 0 {
			tokens = min(slack, tokens+at.Sub(calls[i-1]).Seconds()*perSecond)
		}
		tokens--
		worst = max(worst, -tokens)
	}
	return worst
}
