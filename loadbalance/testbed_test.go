package loadbalance_test

import (
	"container/heap"
	"errors"
	"time"

	"github.com/belay-go/belay/internal/sim"
)

var errSim = errors.New("failed")

// A rule balances the calls of one client over servers, which have the numbers
// from 0.
type rule interface {
	// pick chooses a server for a call that begins now; done is told its end.
	pick(now time.Duration) (server int, done func(now time.Duration, err error))

	// grow adds a server, behind the others.
	grow(now time.Duration)
}

// A contender makes a rule for each client.
type contender struct {
	name string
	rule func(setting) rule
}

// A setting is what clients find.
type setting struct {
	*sim.Sim
	servers int
	joins   time.Duration // when there is one more; 0: never
	weights []float64     // of the servers, by their own reports; they change
}

// A farm is servers that know when a call arrives how long they will take.
type farm struct {
	servers int
	joins   time.Duration // when one more comes; 0: none does
	rate    float64       // calls a second, evenly spaced
	length  time.Duration
	answer  func(r *sim.Rand, now time.Duration, server, inFlight int) (time.Duration, error)
}

// A served is a call that has ended.
type served struct {
	at, took time.Duration
	server   int
	inFlight int // on the server when it arrived, with it
	err      error
}

// play sends the calls of one client, whose order of arrival is that of the result.
func (f farm) play(s *sim.Sim, c contender) []served {
	r := sim.NewRand(s.Rand.Uint64(), 1) // the same calls, whatever the rule draws
	inFlight := make([]int, f.servers+1)
	calls := make([]served, int(f.rate*f.length.Seconds()))
	var ends endings
	joined := f.joins == 0
	client := c.rule(setting{s, f.servers, f.joins, nil})
	for n := range calls {
		at := time.Duration(float64(n) * float64(time.Second) / f.rate)
		for len(ends) > 0 && ends[0].at <= at {
			ends.next(inFlight)
		}
		if !joined && at >= f.joins {
			joined = true
			client.grow(at)
		}
		server, done := client.pick(at)
		inFlight[server]++
		took, err := f.answer(r, at, server, inFlight[server])
		calls[n] = served{at, took, server, inFlight[server], err}
		heap.Push(&ends, ending{at + took, server, done, err})
	}
	for len(ends) > 0 {
		ends.next(inFlight)
	}
	return calls
}

// An ending is one to come.
type ending struct {
	at     time.Duration
	server int
	done   func(time.Duration, error)
	err    error
}

type endings []ending

func (h *endings) next(inFlight []int) {
	e := heap.Pop(h).(ending)
	inFlight[e.server]--
	e.done(e.at, e.err)
}

func (h endings) Len() int           { return len(h) }
func (h endings) Less(i, j int) bool { return h[i].at < h[j].at }
func (h endings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endings) Push(e any)        { *h = append(*h, e.(ending)) }

func (h *endings) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}

// A curve is a distribution, given by quantiles, and straight between them.
type curve []struct{ share, ms float64 }

func (c curve) draw(r *sim.Rand) time.Duration {
	u, i := r.Float64(), 1
	for u > c[i].share {
		i++
	}
	a, b := c[i-1], c[i]
	ms := a.ms + (b.ms-a.ms)*(u-a.share)/(b.share-a.share)
	return time.Duration(ms * float64(time.Millisecond))
}
