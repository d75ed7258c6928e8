package loadbalance_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// checks answers active checks as told.
type checks struct {
	mu   sync.Mutex
	down map[int]error
	hang map[int]bool
	at   map[int][]time.Duration
	t0   time.Time
}

func (c *checks) check(ctx context.Context, v int) error {
	c.mu.Lock()
	err, hang := c.down[v], c.hang[v]
	c.at[v] = append(c.at[v], time.Since(c.t0))
	c.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (c *checks) set(v int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down[v] = err
}

// times returns when an endpoint with that value was checked.
func (c *checks) times(v int) []time.Duration {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.at[v])
}

func newChecks() *checks {
	return &checks{down: map[int]error{}, hang: map[int]bool{}, at: map[int][]time.Duration{}, t0: time.Now()}
}

func TestCheck(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(4, loadbalance.Config{Policy: loadbalance.Random, SlowStart: time.Minute})
		defer b.Close()
		c := newChecks()
		b.Check(c.check)
		b.Check(nil) // of no effect
		time.Sleep(10 * time.Second)
		first := map[time.Duration]bool{}
		for v := range 4 {
			for _, at := range c.times(v)[:1] {
				first[at] = true
			}
		}
		if len(first) != 4 {
			t.Errorf("the first checks were at %v", first)
		}
		c.set(2, errors.New("not ready"))
		time.Sleep(17 * time.Second)
		inState(t, b, "2", loadbalance.Healthy, "")
		time.Sleep(17 * time.Second)
		inState(t, b, "2", loadbalance.Unhealthy, "its checks fail; the last error: not ready")
		if count := counts(t, b, 4, 1000); count[2] != 0 {
			t.Errorf("%v", count)
		}
		at(t, b, "2", good) // what calls say does not matter
		inState(t, b, "2", loadbalance.Unhealthy, "")
		c.set(2, nil)
		time.Sleep(8 * time.Second)
		inState(t, b, "2", loadbalance.Unhealthy, "")
		time.Sleep(15 * time.Second)
		inState(t, b, "2", loadbalance.SlowStart, "its checks pass again")
		if at := c.times(0); len(at) < 5 || at[1]-at[0] == at[2]-at[1] {
			t.Errorf("not jittered: %v", at)
		}
	})
}

// One check that times out does not end the checks, as it once did in another
// library; and one failure is not enough.
func TestCheckTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(2, loadbalance.Config{CheckEvery: 4 * time.Second, CheckFailures: 2, CheckPasses: 1, SlowStart: -1})
		defer b.Close()
		c := newChecks()
		c.hang[0] = true
		b.Check(c.check)
		time.Sleep(20 * time.Second)
		inState(t, b, "0", loadbalance.Unhealthy, "deadline")
		c.mu.Lock()
		c.hang[0] = false
		c.mu.Unlock()
		time.Sleep(7 * time.Second)
		inState(t, b, "0", loadbalance.Healthy, "")
	})
}

// A check that hangs, whatever its context says, has failed; so has one that leaves
// without a word. At most one of an endpoint is under way.
func TestCheckHangs(t *testing.T) {
	for name, check := range map[string]func(release chan struct{}, running *atomic.Int32) error{
		"hangs":  func(release chan struct{}, _ *atomic.Int32) error { <-release; return nil },
		"Goexit": func(chan struct{}, *atomic.Int32) error { runtime.Goexit(); return nil },
		"panics": func(chan struct{}, *atomic.Int32) error { panic("oops") },
	} {
		inBubble(t, func(t *testing.T) {
			release := make(chan struct{})
			var running, most atomic.Int32
			var well atomic.Bool
			b := fixed(2, loadbalance.Config{CheckEvery: 4 * time.Second, CheckFailures: 3, CheckPasses: 1, SlowStart: -1,
				Observe: func(context.Context, loadbalance.Event) {}})
			b.Check(func(_ context.Context, v int) error {
				if v != 0 || well.Load() {
					return nil
				}
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				return check(release, &running)
			})
			time.Sleep(20 * time.Second)
			inState(t, b, "0", loadbalance.Unhealthy, "its checks fail")
			inState(t, b, "1", loadbalance.Healthy, "")
			if n := most.Load(); n != 1 {
				t.Errorf("%s: %d checks at once", name, n)
			}
			well.Store(true)
			close(release)
			time.Sleep(10 * time.Second)
			inState(t, b, "0", loadbalance.Healthy, "its checks pass again")
			b.Close()
		})
	}
}

// Checks come and go with the endpoints, and look at the value of the day.
func TestCheckFollowsSet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{})
		c := newChecks()
		b.Check(c.check)
		src.set(numbers(2)...)
		time.Sleep(30 * time.Second)
		src.set(endpoint{Key: "1", Value: 7}, endpoint{Key: "2", Value: 2})
		n := len(c.times(0))
		time.Sleep(30 * time.Second)
		if n == 0 || len(c.times(0)) != n || len(c.times(7)) == 0 || len(c.times(2)) == 0 {
			t.Errorf("%v, %v, %v", c.times(0), c.times(7), c.times(2))
		}
		b.Close()
		time.Sleep(time.Second)
		n = len(c.times(7))
		time.Sleep(time.Minute)
		if len(c.times(7)) != n {
			t.Error("checks after Close")
		}
	})
}

// An endpoint that is ejected and unhealthy must recover from both.
func TestUnhealthyAndEjected(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(4, loadbalance.Config{EjectAfter: 1, EjectFor: 2 * time.Minute, MaxEjectFor: 2 * time.Minute})
		defer b.Close()
		c := newChecks()
		c.set(1, errors.New("down"))
		b.Check(c.check)
		at(t, b, "1", failed)
		inState(t, b, "1", loadbalance.Ejected, "")
		time.Sleep(40 * time.Second)
		inState(t, b, "1", loadbalance.Unhealthy, "")
		c.set(1, nil)
		time.Sleep(23 * time.Second)
		inState(t, b, "1", loadbalance.Ejected, "")
		c.set(1, errors.New("down"))
		time.Sleep(time.Minute) // past the end of the ejection
		inState(t, b, "1", loadbalance.Unhealthy, "")
		if count := counts(t, b, 4, 100); count[1] != 0 {
			t.Error("an unhealthy endpoint has had a trial")
		}
		c.set(1, nil)
		time.Sleep(23 * time.Second)
		inState(t, b, "1", loadbalance.HalfOpen, "")
		due(t, b)
		if one(t, b, good) != 1 {
			t.Error("the trial went elsewhere")
		}
		synctest.Wait()
		inState(t, b, "1", loadbalance.SlowStart, "")
	})
}
