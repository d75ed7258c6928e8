package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// The answers are those of the schedule that the docs of ratelimit.Store describe, at the
// times that Redis had.
func TestLease(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: startRedis(t).addr})
	defer client.Close()
	store := New(Config{Client: client})
	r := rand.New(rand.NewPCG(1, 2))
	for _, interval := range []time.Duration{3333, 100_000, time.Millisecond, 7_654_321} {
		burst := 1 + r.IntN(40)
		key := fmt.Sprint(interval)
		micros := func(n int) int64 { return int64(math.Ceil(float64(n) * float64(interval) / 1000)) }
		var end int64
		owners := map[string]bool{}
		for i := range 500 {
			ask := ratelimit.LeaseRequest{
				Owner:    fmt.Sprint(r.IntN(3)),
				Interval: interval,
				Burst:    burst,
				N:        1 + r.IntN(2*burst),
				Within:   time.Duration(r.IntN(3)) * interval * 5,
				Ahead:    interval * 10,
				Keep:     time.Minute,
			}
			ask.Least = 1 + r.IntN(ask.N)
			owners[ask.Owner] = true
			if r.IntN(5) == 0 {
				ask.Back, ask.BackN = end, 1+r.IntN(3)
			}
			got, err := store.Lease(t.Context(), key, ask)
			if err != nil {
				t.Fatal(err)
			}
			cost := int64(0)
			if got.N > 0 {
				cost = micros(got.N)
			}
			now := got.End - cost - got.Begin.Microseconds()
			begin := max(end, now)
			most := now + micros(burst) + ask.Within.Microseconds()
			begin = min(begin, now+micros(burst+ask.N)+ask.Ahead.Microseconds())
			if ask.BackN > 0 && begin == end {
				begin = max(now, begin-int64(float64(ask.BackN)*float64(interval)/1000))
			}
			want := ratelimit.Lease{Begin: time.Duration(begin-now) * time.Microsecond, Owners: len(owners), End: begin}
			if room := int(min(float64(most-begin)*1000/float64(interval), float64(ask.N))); room >= ask.Least {
				want.N, want.End = room, begin+micros(room)
			} else {
				want.RetryAfter = time.Duration(begin+micros(ask.Least)-micros(burst)-now) * time.Microsecond
			}
			if got != want {
				t.Fatalf("interval %v, burst %d, question %d: %+v\ngot  %+v\nwant %+v", interval, burst, i, ask, got, want)
			}
			end = got.End
		}
	}
}

// With leases of one, the decisions are those of redis_rate: both are held against one
// obvious bucket, each at the times at which Redis has decided.
func TestDecidesAsRedisRate(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: startRedis(t).addr})
	defer client.Close()
	store, peer := New(Config{Client: client}), redis_rate.NewLimiter(client)
	const perSecond, burst = 2000, 50
	var ours, theirs float64 // when the bucket will be full, in microseconds
	decide := func(fullAt *float64, now float64, n int) bool {
		next := max(*fullAt, now) + float64(n)*1e6/perSecond
		if next-now > burst*1e6/perSecond {
			return false
		}
		*fullAt = next
		return true
	}
	r := rand.New(rand.NewPCG(3, 4))
	denied := 0
	for i := range 4000 {
		n := 1 + r.IntN(6)
		got, err := store.Lease(t.Context(), "ours", ratelimit.LeaseRequest{Owner: "a", Interval: time.Second / perSecond, Burst: burst, N: n, Least: n, Keep: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		now := float64(got.End - got.Begin.Microseconds() - int64(got.N)*1e6/perSecond)
		if want := decide(&ours, now, n); (got.N == n) != want {
			t.Fatalf("call %d for %d: %+v, want %v", i, n, got, want)
		}
		if got.N == 0 {
			denied++
		}
		res, err := peer.AllowN(t.Context(), "theirs", redis_rate.Limit{Rate: perSecond, Burst: burst, Period: time.Second}, n)
		if err != nil {
			t.Fatal(err)
		}
		tat, err := client.Get(t.Context(), "rate:theirs").Float64()
		if err != nil {
			t.Fatal(err)
		}
		now = (tat - res.ResetAfter.Seconds()) * 1e6
		model := theirs
		if want := decide(&theirs, now, n); (res.Allowed == n) != want {
			// Its clock and its sums are rounded: at the edge either answer is right.
			edge := max(model, now) + float64(n)*1e6/perSecond - now - burst*1e6/perSecond
			if math.Abs(edge) > 2 {
				t.Fatalf("redis_rate, call %d for %d: allowed %d, want %v (%v us from the edge)", i, n, res.Allowed, want, edge)
			}
		}
		theirs = tat * 1e6
	}
	if denied == 0 {
		t.Error("nothing was denied")
	}
}

// The end that a clock has left behind that was ahead by a day, or a limit that was much
// lower, blocks nobody for longer than the bucket takes to fill.
func TestEndFarAhead(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: startRedis(t).addr})
	defer client.Close()
	store := New(Config{Client: client, Prefix: "p:"})
	ask := ratelimit.LeaseRequest{Owner: "a", Interval: time.Second, Burst: 5, N: 1, Least: 1, Keep: time.Minute}
	if _, err := store.Lease(t.Context(), "k", ask); err != nil {
		t.Fatal(err)
	}
	if err := client.HSet(t.Context(), "p:k", "end", time.Now().Add(24*time.Hour).UnixMicro()).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := store.Lease(t.Context(), "k", ask)
	if err != nil || got.N != 0 || got.RetryAfter > 2*time.Second {
		t.Errorf("%+v, %v; want a wait of at most two intervals", got, err)
	}
}

// What is in Redis expires with the bucket and the processes.
func TestExpires(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: startRedis(t).addr})
	defer client.Close()
	store := New(Config{Client: client})
	for _, ask := range []ratelimit.LeaseRequest{
		{Owner: "a", Interval: time.Second, Burst: 50, N: 40, Least: 1, Keep: time.Second},
		{Owner: "a", Interval: time.Millisecond, Burst: 50, N: 40, Least: 1, Keep: time.Second},
	} {
		key := ask.Interval.String()
		got, err := store.Lease(t.Context(), key, ask)
		if err != nil {
			t.Fatal(err)
		}
		ttl := client.PTTL(t.Context(), "ratelimit:"+key).Val()
		if want := max(got.Begin+time.Duration(got.N)*ask.Interval, ask.Keep); ttl <= 0 || ttl > want+2*time.Millisecond {
			t.Errorf("%v: expires in %v, want at most %v", key, ttl, want)
		}
	}
}

// counting counts what is sent, and can lose an answer after it has been sent.
type counting struct {
	Client
	mu    sync.Mutex
	names []string
}

func (c *counting) Process(ctx context.Context, cmd redis.Cmder) error {
	c.mu.Lock()
	c.names = append(c.names, cmd.Name())
	c.mu.Unlock()
	return c.Client.Process(ctx, cmd)
}

// A server that has forgotten the script is sent it, and a question whose answer was
// lost is not repeated, although the client repeats all others.
func TestAsksOnce(t *testing.T) {
	server := startRedis(t)
	direct := redis.NewClient(&redis.Options{Addr: server.addr})
	defer direct.Close()
	door := openDoor(t, server.addr)
	client := redis.NewClient(&redis.Options{Addr: door.Addr().String(), MaxRetries: 5, ReadTimeout: 50 * time.Millisecond})
	defer client.Close()
	count := &counting{Client: client}
	store := New(Config{Client: count})
	ask := ratelimit.LeaseRequest{Owner: "a", Interval: time.Hour, Burst: 10, N: 1, Least: 1, Keep: time.Hour}
	for range 2 {
		if err := direct.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := store.Lease(t.Context(), "k", ask); err != nil || got.N != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
		}
	}
	if got := strings.Join(count.names, " "); got != "evalsha eval evalsha evalsha eval evalsha" {
		t.Errorf("sent %s", got)
	}
	count.names = nil
	door.mute(true)
	if _, err := store.Lease(t.Context(), "k", ask); err == nil {
		t.Fatal("an answer from a server that cannot be heard")
	}
	door.mute(false)
	door.lead(server.addr) // the client connects anew
	tries := 0
	var got ratelimit.Lease
	err := error(io.EOF)
	for ; err != nil; tries++ {
		got, err = store.Lease(t.Context(), "k", ask)
	}
	if taken, most := int(math.Ceil(got.Begin.Hours()))+1, 4+1+tries; taken > most || len(count.names) > 1+tries {
		t.Errorf("%d tokens are taken with %d questions (%v)", taken, most, count.names)
	}
}

// A cluster finds the node by the key.
func TestCluster(t *testing.T) {
	server := startRedis(t, "--cluster-enabled", "yes")
	direct := redis.NewClient(&redis.Options{Addr: server.addr})
	defer direct.Close()
	if err := direct.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.addr}, MaxRedirects: 100})
	defer client.Close()
	store := New(Config{Client: client})
	for i := range 50 {
		ask := ratelimit.LeaseRequest{Owner: "a", Interval: time.Second, Burst: 10, N: 1, Least: 1, Keep: time.Minute}
		got, err := store.Lease(t.Context(), fmt.Sprint(i), ask)
		for err != nil && strings.HasPrefix(err.Error(), "CLUSTERDOWN") { // at its start
			got, err = store.Lease(t.Context(), fmt.Sprint(i), ask)
		}
		if err != nil || got.N != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

func TestNewNeedsAClient(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "redisstore: Config.Client is nil") {
			t.Errorf("panic %q", got)
		}
	}()
	New(Config{})
}

// broken answers with something that is no lease.
type broken struct{}

func (broken) Process(_ context.Context, cmd redis.Cmder) error {
	cmd.(once).SetVal([]int64{1, 2})
	return nil
}

func TestAnswerThatIsNone(t *testing.T) {
	_, err := New(Config{Client: broken{}}).Lease(t.Context(), "k", ratelimit.LeaseRequest{})
	if err == nil || !strings.Contains(err.Error(), "2 numbers") {
		t.Errorf("%v", err)
	}
	nobody := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer nobody.Close()
	s := ratelimit.NewShared(ratelimit.SharedConfig{Store: New(Config{Client: nobody}), Rate: 1, OnFailure: ratelimit.FailClosed})
	if err := s.Wait(t.Context(), "k"); !errors.Is(err, ratelimit.ErrStore) {
		t.Errorf("%v, want ErrStore", err)
	}
}
