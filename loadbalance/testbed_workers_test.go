package loadbalance_test

import (
	"container/heap"
	"math"
	"slices"
	"time"

	"github.com/belay-go/belay/internal/sim"
)

// A shop is servers with so many workers each: a call waits until one of them is free.
// Calls come at random, from any of the clients.
type shop struct {
	servers, workers, clients int
	rate                      float64
	warm, length              time.Duration // the first calls do not count
	deadline                  time.Duration // 0: none
	replaced                  time.Duration // the pause after which another server is replaced, in turn; 0: none is
	// serve says how long a worker of a server of that age is busy with a call. One that
	// fails keeps no worker.
	serve func(r *sim.Rand, now time.Duration, server int, age time.Duration) (time.Duration, error)
}

// A swapper learns that a server has been replaced by a new one.
type swapper interface {
	swap(now time.Duration, server int)
}

// play returns the calls that count.
func (f shop) play(s *sim.Sim, c contender) []served {
	r := sim.NewRand(s.Rand.Uint64(), 1) // the same calls, whatever the rule draws
	clients := make([]rule, f.clients)
	for n := range clients {
		clients[n] = c.rule(setting{s, f.servers, 0, nil})
	}
	free := make([][]time.Duration, f.servers) // when each worker is
	for n := range free {
		free[n] = make([]time.Duration, f.workers)
	}
	var calls []served
	var ends endings
	inFlight := make([]int, f.servers)
	born, swaps := make([]time.Duration, f.servers), 0
	for now := time.Duration(0); now < f.warm+f.length; now += r.Exp(time.Duration(float64(time.Second) / f.rate)) {
		for len(ends) > 0 && ends[0].at <= now {
			ends.next(inFlight)
		}
		if f.replaced > 0 && now >= f.warm+time.Duration(swaps)*f.replaced {
			server := swaps % f.servers
			for _, c := range clients {
				if c, ok := c.(swapper); ok {
					c.swap(now, server)
				}
			}
			born[server] = now
			swaps++
		}
		client := clients[r.IntN(len(clients))]
		server, done := client.pick(now)
		inFlight[server]++
		took, err := f.serve(r, now, server, now-born[server])
		if err == nil {
			worker := slices.Index(free[server], slices.Min(free[server]))
			end := max(now, free[server][worker]) + took
			free[server][worker] = end
			took = end - now
		}
		if f.deadline > 0 && took > f.deadline {
			took, err = f.deadline, errSim
		}
		if now >= f.warm {
			calls = append(calls, served{now, took, server, inFlight[server], err})
		}
		heap.Push(&ends, ending{now + took, server, done, err})
	}
	for len(ends) > 0 {
		ends.next(inFlight)
	}
	return calls
}

// An outlier is a rule with the outlier detection of gRPC (A50) and Envoy, with their
// defaults: every 10 s the servers are ejected whose share of successes is 1.9 standard
// deviations below the mean, or of whose calls 85 % have failed; at most a tenth of the
// servers at a time; for 30 s the first time, then for longer.
type outlier struct {
	rand     *sim.Rand
	least    bool // the less loaded of two, in place of turns
	detects  bool
	five     bool // five failures in a row eject at once, as in Envoy
	turn     int
	inFlight []int
	good     []int
	bad      []int
	row      []int
	out      []time.Duration // until then
	times    []int
	due      time.Duration
}

func newOutlier(least, detects, five bool) func(setting) rule {
	return func(s setting) rule {
		ints := func() []int { return make([]int, s.servers) }
		return &outlier{rand: s.Rand, least: least, detects: detects, five: five, turn: s.Rand.IntN(s.servers),
			inFlight: ints(), good: ints(), bad: ints(), row: ints(), out: make([]time.Duration, s.servers), times: ints(), due: 10 * time.Second}
	}
}

func (o *outlier) grow(time.Duration) { panic("it does not grow") }

func (o *outlier) pick(now time.Duration) (int, func(time.Duration, error)) {
	for o.detects && now >= o.due {
		o.sweep(o.due)
		o.due += 10 * time.Second
	}
	var in []int
	for i := range o.out {
		if o.out[i] <= now {
			in = append(in, i)
		}
	}
	o.turn++
	i := in[o.turn%len(in)]
	if o.least {
		i = in[o.rand.IntN(len(in))]
		if j := in[o.rand.IntN(len(in))]; o.inFlight[j] < o.inFlight[i] {
			i = j
		}
	}
	o.inFlight[i]++
	return i, func(now time.Duration, err error) {
		o.inFlight[i]--
		if err == nil {
			o.good[i]++
			o.row[i] = 0
			return
		}
		o.bad[i]++
		if o.row[i]++; o.five && o.row[i] >= 5 {
			o.eject(i, now)
		}
	}
}

func (o *outlier) swap(_ time.Duration, i int) {
	o.good[i], o.bad[i], o.row[i], o.out[i], o.times[i] = 0, 0, 0, 0, 0
}

func (o *outlier) sweep(now time.Duration) {
	var shares []float64
	for i := range o.good {
		if n := o.good[i] + o.bad[i]; n >= 100 {
			shares = append(shares, float64(o.good[i])/float64(n))
		}
	}
	mean, deviation := 0.0, 0.0
	for _, s := range shares {
		mean += s / float64(len(shares))
	}
	for _, s := range shares {
		deviation += (s - mean) * (s - mean) / float64(len(shares))
	}
	threshold := mean - 1.9*math.Sqrt(deviation)
	for i := range o.good {
		n := o.good[i] + o.bad[i]
		outlies := len(shares) >= 5 && n >= 100 && float64(o.good[i])/float64(n) < threshold
		fails := n >= 50 && float64(o.bad[i]) >= 0.85*float64(n)
		if outlies || fails {
			o.eject(i, now)
		}
		o.good[i], o.bad[i] = 0, 0
	}
}

func (o *outlier) eject(i int, now time.Duration) {
	out := 0
	for _, until := range o.out {
		if until > now {
			out++
		}
	}
	if o.out[i] <= now && out < max(1, len(o.out)/10) {
		o.times[i]++
		o.out[i], o.row[i] = now+time.Duration(o.times[i])*30*time.Second, 0
	}
}
