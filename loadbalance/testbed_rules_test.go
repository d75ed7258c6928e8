package loadbalance_test

import (
	"math"
	"slices"
	"time"

	"github.com/belay-go/belay/internal/sim"
)

// The rules of others, written down from what they publish. They are played in one
// thread, and decide what the originals decide, not how.

// roundRobin takes the servers in turn, from a random one on.
type roundRobin struct{ next, servers int }

func newRoundRobin(s setting) rule {
	return &roundRobin{s.Rand.IntN(s.servers), s.servers}
}

func (r *roundRobin) grow(time.Duration) { r.servers++ }

func (r *roundRobin) pick(time.Duration) (int, func(time.Duration, error)) {
	r.next = (r.next + 1) % r.servers
	return r.next, func(time.Duration, error) {}
}

// weighted takes each server as often as its weight says, spread evenly (nginx's
// smooth weighted round robin).
type weighted struct{ weights, credit []float64 }

func newWeighted(s setting) rule {
	w := &weighted{s.weights, make([]float64, s.servers)}
	for i := range w.credit {
		w.credit[i] = float64(s.servers) * s.Rand.Float64()
	}
	return w
}

func (w *weighted) grow(time.Duration) { panic("no weight") }

func (w *weighted) pick(time.Duration) (int, func(time.Duration, error)) {
	best, sum := 0, 0.0
	for i, weight := range w.weights {
		w.credit[i] += weight
		sum += weight
		if w.credit[i] > w.credit[best] {
			best = i
		}
	}
	w.credit[best] -= sum
	return best, func(time.Duration, error) {}
}

// leastLoaded takes the server with the fewest calls in flight, any of those that
// are even.
type leastLoaded struct {
	rand     *sim.Rand
	inFlight []int
}

func newLeastLoaded(s setting) rule {
	return &leastLoaded{s.Rand, make([]int, s.servers)}
}

func (l *leastLoaded) grow(time.Duration) { l.inFlight = append(l.inFlight, 0) }

func (l *leastLoaded) pick(time.Duration) (int, func(time.Duration, error)) {
	least, best, even := slices.Min(l.inFlight), 0, 0
	for i, n := range l.inFlight {
		if n == least {
			if even++; l.rand.IntN(even) == 0 {
				best = i
			}
		}
	}
	l.inFlight[best]++
	return best, func(time.Duration, error) { l.inFlight[best]-- }
}

// pairs draws two servers and takes the one that costs less: the better of two
// random choices, which most of the others vary.
type pairs struct {
	rand    *sim.Rand
	servers []*server
	fresh   server // what a new one is
	cost    func(s *server, now time.Duration) float64
	learn   func(s *server, now, took time.Duration, err error)
	healthy func(s *server) bool // nil: all are; others are drawn anew, twice
	forced  time.Duration        // the loser is taken if it had no call for longer; 0: never
}

// A server is what a rule knows about it.
type server struct {
	inFlight      int
	began         []time.Duration // the calls in flight, if the rule wants to know
	lag           float64         // a mean of their times, in nanoseconds
	success       float64         // a mean of 1 and 0
	heard, picked time.Duration
	cached        float64
	cachedAt      time.Duration
}

const never = -time.Hour

func (p *pairs) start(servers int) rule {
	for range servers {
		p.grow(0)
	}
	return p
}

func (p *pairs) grow(time.Duration) {
	fresh := p.fresh
	fresh.heard, fresh.picked, fresh.cachedAt = never, never, never
	p.servers = append(p.servers, &fresh)
}

func (p *pairs) draw() (i, j int) {
	i, j = p.rand.IntN(len(p.servers)), p.rand.IntN(len(p.servers)-1)
	if j >= i {
		j++
	}
	return i, j
}

func (p *pairs) pick(now time.Duration) (int, func(time.Duration, error)) {
	i, j := p.draw()
	for range 2 {
		if p.healthy == nil || p.healthy(p.servers[i]) && p.healthy(p.servers[j]) {
			break
		}
		i, j = p.draw()
	}
	if p.cost(p.servers[j], now) < p.cost(p.servers[i], now) {
		i, j = j, i
	}
	if p.forced > 0 && now-p.servers[j].picked > p.forced {
		i = j
	}
	s := p.servers[i]
	s.inFlight++
	s.picked = now
	s.began = append(s.began, now)
	return i, func(end time.Duration, err error) {
		s.inFlight--
		at := slices.Index(s.began, now)
		s.began = slices.Delete(s.began, at, at+1)
		p.learn(s, end, end-now, err)
	}
}

// average moves a mean of lifetime tau towards the latest sample.
func (s *server) average(now, took, tau time.Duration, err error) {
	w := math.Exp(-float64(now-s.heard) / float64(tau))
	s.heard = now
	if s.lag == 0 {
		w = 0
	}
	ok := 1.0
	if err != nil {
		ok = 0
	}
	s.lag = w*s.lag + (1-w)*float64(took)
	s.success = w*s.success + (1-w)*ok
}

// newPairs compares the calls in flight.
func newPairs(s setting) rule {
	return (&pairs{
		rand:  s.Rand,
		cost:  func(s *server, _ time.Duration) float64 { return float64(s.inFlight) },
		learn: func(*server, time.Duration, time.Duration, error) {},
	}).start(s.servers)
}

// newFinagle is Finagle's peak EWMA: a mean of 10 s that jumps to each peak, times
// the calls in flight; a server that is not known and has a call is the last choice.
func newFinagle(s setting) rule {
	observe := func(s *server, now time.Duration, lag float64) {
		w := math.Exp(-float64(now-s.heard) / float64(10*time.Second))
		s.heard = now
		s.lag = max(lag, w*s.lag+(1-w)*lag)
	}
	return (&pairs{
		rand: s.Rand,
		cost: func(s *server, now time.Duration) float64 {
			observe(s, now, 0)
			if s.lag == 0 && s.inFlight > 0 {
				return math.MaxFloat64/2 + float64(s.inFlight)
			}
			return s.lag * float64(s.inFlight+1)
		},
		learn: func(s *server, now, took time.Duration, _ error) { observe(s, now, float64(took)) },
	}).start(s.servers)
}

// newGoZero is zrpc's: the root of a mean of 10 s times the calls in flight;
// servers with more failures than successes are drawn anew.
func newGoZero(s setting) rule {
	return (&pairs{
		rand:  s.Rand,
		fresh: server{success: 1},
		cost: func(s *server, _ time.Duration) float64 {
			return math.Sqrt(s.lag+1) * float64(s.inFlight+1)
		},
		learn: func(s *server, now, took time.Duration, err error) {
			s.average(now, took, 10*time.Second, err)
		},
		healthy: func(s *server) bool { return s.success > 0.5 },
		forced:  time.Second,
	}).start(s.servers)
}

// newKratos is the p2c selector's: the root of a mean of 600 ms, or of the age of
// the calls in flight if most of those are older, times their number, over the mean
// of successes; reckoned anew after 5 ms.
func newKratos(s setting) rule {
	return (&pairs{
		rand:  s.Rand,
		fresh: server{success: 1},
		cost: func(s *server, now time.Duration) float64 {
			if now-s.cachedAt > 5*time.Millisecond {
				s.cached, s.cachedAt = s.kratosLoad(now)/s.success, now
			}
			return s.cached
		},
		learn: func(s *server, now, took time.Duration, err error) {
			s.average(now, took, 600*time.Millisecond, err)
		},
		forced: 3 * time.Second,
	}).start(s.servers)
}

func (s *server) kratosLoad(now time.Duration) float64 {
	n := float64(s.inFlight + 1)
	if s.lag == 0 {
		return n * float64(100*time.Microsecond)
	}
	slow, sum := 0, 0.0
	sampled := s.began[:min(len(s.began), 200)]
	for _, began := range sampled {
		if age := float64(now - began); age > s.lag {
			slow++
			sum += age
		}
	}
	lag := s.lag
	if slow >= len(sampled)/2+1 {
		lag = max(lag, sum/float64(slow))
	}
	return n * math.Sqrt(lag+float64(5*time.Millisecond))
}
