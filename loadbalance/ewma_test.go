package loadbalance_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// A pool plays endpoints in virtual time: calls come at a steady rate, and each ends
// afterLocked what answer says, with its result.
type pool struct {
	b      *balancer
	every  time.Duration
	answer func(i int, now time.Duration) (time.Duration, result)
	count  []int
	begin  time.Time
}

func (p *pool) run(t *testing.T, d time.Duration) []int {
	t.Helper()
	p.count = make([]int, len(p.b.Stats().Endpoints))
	if p.begin.IsZero() {
		p.begin = time.Now()
	}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(p.every) {
		call := picked(t, p.b)
		p.count[call.Value()]++
		took, r := p.answer(call.Value(), time.Since(p.begin))
		time.AfterFunc(took, func() { call.Done(r) })
	}
	return p.count
}

func (p *pool) settle() { time.Sleep(time.Minute) }

// steady is a pool of ten that answer in 20 to 30 ms, but for the exceptions.
func steady(b *balancer, except map[int]func(now time.Duration) (time.Duration, result)) *pool {
	turn := 0
	return &pool{b: b, every: 3 * time.Millisecond, answer: func(i int, now time.Duration) (time.Duration, result) {
		if f := except[i]; f != nil {
			return f(now)
		}
		turn++
		return time.Duration(20+turn*7%11) * time.Millisecond, good
	}}
}

// unejected leaves everything to the policy.
var unejected = loadbalance.Config{EjectAfter: -1, EjectRate: -1}

func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// One of ten fails in a millisecond. It must not look like the fastest.
func TestSinkhole(t *testing.T) {
	for name, r := range map[string]result{
		"failure": failed, "overload": {Outcome: loadbalance.Overload}, "with a latency": {Err: failed.Err, Latency: 1},
	} {
		inBubble(t, func(t *testing.T) {
			p := steady(fixed(10, unejected), map[int]func(time.Duration) (time.Duration, result){
				3: func(time.Duration) (time.Duration, result) { return time.Millisecond, r },
			})
			count := p.run(t, 30*time.Second)
			if share := float64(count[3]) / 10_000; share > 0.01 {
				t.Errorf("%s: it has %.3f of the calls", name, share)
			}
			p.settle()
		})
	}
}

// Without a success to compare with, fast failures are no attraction either.
func TestSinkholeFromTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := steady(fixed(10, unejected), map[int]func(time.Duration) (time.Duration, result){
			0: func(time.Duration) (time.Duration, result) { return 0, failed },
		})
		if count := p.run(t, time.Second); count[0] > 20 {
			t.Errorf("%v", count)
		}
		p.settle()
	})
}

// An endpoint that stops answering is shunned long before its calls end.
func TestHungEndpoint(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := steady(fixed(10, unejected), map[int]func(time.Duration) (time.Duration, result){
			5: func(now time.Duration) (time.Duration, result) {
				if now > time.Second {
					return 10 * time.Second, failed
				}
				return 25 * time.Millisecond, good
			},
		})
		if before := p.run(t, time.Second); before[5] < 20 {
			t.Errorf("before: %v", before)
		}
		if after := p.run(t, 5*time.Second); after[5] > 6 {
			t.Errorf("after: %v", after)
		}
		p.settle()
	})
}

// One call that waits for far longer than usual outweighs several that have just
// begun elsewhere.
func TestAgeOutweighsCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(2, unejected)
		for _, key := range []string{"0", "1"} {
			at(t, b, key, result{Latency: 25 * time.Millisecond})
		}
		b.PickWith(t.Context(), loadbalance.Hint{Prefer: []string{"0"}})
		time.Sleep(time.Second)
		for i := range 5 {
			if p := picked(t, b); p.Value() != 1 {
				t.Errorf("pick %d went to the endpoint that hangs", i)
			}
		}
	})
}

// A failure takes as long as is usual among the others, and makes no estimate
// lower.
func TestFailuresAreNotFast(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(3, unejected)
		at(t, b, "0", result{Err: failed.Err, Latency: time.Millisecond}) // nothing is known yet
		at(t, b, "1", result{Latency: 20 * time.Millisecond})
		if s := stats(t, b, "0"); s.Latency != 20*time.Millisecond {
			t.Errorf("%+v, like the others", s)
		}
		at(t, b, "1", result{Latency: 400 * time.Millisecond})
		at(t, b, "2", result{Latency: 400 * time.Millisecond})
		at(t, b, "0", result{Err: failed.Err, Latency: time.Millisecond})
		if s := stats(t, b, "0"); s.Latency < 200*time.Millisecond {
			t.Errorf("%+v, the others take 400ms", s)
		}
		at(t, b, "0", result{Latency: time.Second})
		time.Sleep(10 * time.Second)
		before := stats(t, b, "0").Latency
		at(t, b, "0", failed)
		if s := stats(t, b, "0"); s.Latency < before {
			t.Errorf("%+v, before it were %v", s, before)
		}
	})
}

// A slow one gets little, and its share again when it has recovered.
func TestSlowEndpointRecovers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := steady(fixed(10, unejected), map[int]func(time.Duration) (time.Duration, result){
			5: func(now time.Duration) (time.Duration, result) {
				if now > time.Second && now < 31*time.Second {
					return 1250 * time.Millisecond, good
				}
				return 25 * time.Millisecond, good
			},
		})
		p.run(t, time.Second)
		if slow := p.run(t, 30*time.Second); slow[5] > 10 { // of ten thousand
			t.Errorf("slow: %v", slow)
		}
		p.run(t, 50*time.Second)
		if again := p.run(t, 10*time.Second); again[5] < 200 {
			t.Errorf("again: %v", again)
		}
		p.settle()
	})
}

// One that has timed out, was ejected and has passed its trial is not held to what
// the timeouts took.
func TestReadmittedIsNotSlow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := steady(fixed(10, loadbalance.Config{EjectAfter: 2}), nil)
		p.run(t, time.Second)
		at(t, p.b, "4", result{Err: failed.Err, Latency: 10 * time.Second})
		at(t, p.b, "4", result{Err: failed.Err, Latency: 10 * time.Second})
		inState(t, p.b, "4", loadbalance.Ejected, "")
		p.run(t, 20*time.Second)
		if count := p.run(t, 10*time.Second); count[4] < 150 {
			t.Errorf("%v", count)
		}
		p.settle()
	})
}

// Errors of some percent everywhere do not concentrate the load.
func TestFewFailures(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(10, unejected)
		turn := 0
		p := &pool{b: b, every: time.Millisecond, answer: func(i int, _ time.Duration) (time.Duration, result) {
			turn++
			if turn%37 == 0 {
				return 20 * time.Millisecond, failed
			}
			return time.Duration(20+turn*7%11) * time.Millisecond, good
		}}
		count := p.run(t, 20*time.Second)
		if least, most := slices.Min(count), slices.Max(count); least < 1500 || most > 2500 {
			t.Errorf("%v", count)
		}
		p.settle()
	})
}

// One that joins is taken for as good as the mean, and not flooded; and one that is
// the first to be known does not make the others look fast.
func TestNewcomerIsNotFlooded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		b := loadbalance.New(src, loadbalance.Config{SlowStart: -1})
		defer b.Close()
		src.set(numbers(10)...)
		p := steady(b, nil)
		p.run(t, 10*time.Second)
		if got := stats(t, b, "0").Latency; got < 20*time.Millisecond || got > 31*time.Millisecond {
			t.Errorf("the latency is %v", got)
		}
		src.set(numbers(11)...)
		if got := stats(t, b, "10").Latency; got < 20*time.Millisecond || got > 31*time.Millisecond {
			t.Errorf("that of the new one is %v", got)
		}
		if count := p.run(t, time.Second); count[10] > 60 || count[10] < 10 { // fair: 30
			t.Errorf("%v", count)
		}
		p.settle()
	})
}

// The caller's cancellation is no failure, and no sign of speed: when the slower one
// of two hedges is always given up, it took that long at least.
func TestCanceledIsNotFast(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := steady(fixed(10, unejected), map[int]func(now time.Duration) (time.Duration, result){
			3: func(now time.Duration) (time.Duration, result) {
				if now < time.Second {
					return 25 * time.Millisecond, good
				}
				return 200 * time.Millisecond, result{Err: context.Canceled}
			},
		})
		p.run(t, time.Second)
		count := p.run(t, 10*time.Second)
		if s := stats(t, p.b, "3"); s.FailureRate != 0 || count[3] > 10 {
			t.Errorf("%+v, %v", s, count)
		}
		p.settle()
	})
}

// A body that is read for long, or a stream, is load, but does not look like a hung
// call.
func TestAnsweredDoesNotAge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(2, loadbalance.Config{})
		p, q := picked(t, b), picked(t, b)
		time.Sleep(20 * time.Millisecond)
		p.Answered(good)
		q.Answered(good)
		before := stats(t, b, "0")
		time.Sleep(100 * time.Millisecond)
		after := stats(t, b, "0")
		if before.Latency != after.Latency || after.InFlight != 1 {
			t.Errorf("%+v, then %+v", before, after)
		}
		time.Sleep(time.Hour)
		p.Done(good)
		q.Done(good)
		if s := stats(t, b, "0"); s.Latency > before.Latency || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A result can bring a latency of its own.
func TestLatencyOfResult(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, policy := range []loadbalance.Policy{loadbalance.PeakEWMA, loadbalance.Random} {
			b := fixed(1, loadbalance.Config{Policy: policy})
			one(t, b, result{Latency: time.Second})
			picked(t, b)
			if s := stats(t, b, "0"); s.Latency != time.Second {
				t.Errorf("%v", s.Latency)
			}
		}
	})
}
