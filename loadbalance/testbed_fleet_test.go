package loadbalance_test

import (
	"container/heap"
	"context"
	"math"
	"time"

	"github.com/belay-go/belay/internal/sim"
)

// A fleet is the test bed of Prequal (Wydrowski et al., "Load is not what you should
// balance", NSDI 2024) as far as it is published: as many clients as replicas, each
// of which is allotted a part of a machine whose other tenants use more or less of
// the rest. Queries share the replica's cores evenly, none gets more than one.
//
// How much the other tenants leave is ours: seven replicas of eight always get what
// they are allotted, and something of what is idle; on one of eight the others take
// more than their part.
type fleet struct {
	size            int
	load            float64 // of what is allotted
	measure, length time.Duration
}

const (
	allotted = 4 // cores
	cost     = 75 * time.Millisecond
	meanCost = 1.083 * float64(cost) // of a normal distribution of that mean and deviation without its negative part
	deadline = 5 * time.Second
)

// A ran is what a run of a fleet came to.
type ran struct {
	took      sim.Samples // the deadline for those that were not answered
	failed    int
	inFlight  sim.Samples // on the replica that was chosen, at each arrival; 1 is a nanosecond
	mostAtOne int
}

func (a *ran) add(b ran) {
	a.took = append(a.took, b.took...)
	a.failed += b.failed
	a.inFlight = append(a.inFlight, b.inFlight...)
	a.mostAtOne = max(a.mostAtOne, b.mostAtOne)
}

func (f fleet) play(s *sim.Sim, c contender) (out ran) {
	arrivals, machines := sim.NewRand(s.Rand.Uint64(), 1), sim.NewRand(s.Rand.Uint64(), 2)
	var due schedule
	for n := range f.size {
		r := &replica{rand: machines, spare: 1.3 * allotted * (0.5 + 2.5*machines.Float64()), limited: n%8 == 7, place: n}
		r.reschedule(0)
		due = append(due, r)
	}
	replicas := append([]*replica(nil), due...)
	heap.Init(&due)
	weights := make([]float64, f.size)
	for n := range weights {
		weights[n] = 1
	}
	clients := make([]rule, f.size)
	for n := range clients {
		clients[n] = c.rule(setting{s, f.size, 0, weights})
	}

	gap := time.Duration(meanCost / (f.load * allotted * float64(f.size)))
	arrival, report := arrivals.Exp(gap), 10*time.Second
	running := 0
	for arrival < f.length || running > 0 {
		if r := due[0]; r.due <= arrival || arrival >= f.length {
			running -= r.event(&out, f.measure)
			heap.Fix(&due, 0)
			continue
		}
		now := arrival
		arrival += arrivals.Exp(gap)
		for ; now >= report; report += time.Second {
			weigh(replicas, weights)
		}
		work := max(100*time.Microsecond, cost+time.Duration(arrivals.NormFloat64()*float64(cost)))
		n, done := clients[arrivals.IntN(f.size)].pick(now)
		r := replicas[n]
		r.add(now, work, done)
		heap.Fix(&due, r.place)
		running++
		if now >= f.measure {
			out.inFlight = append(out.inFlight, time.Duration(len(r.queries)))
			out.mostAtOne = max(out.mostAtOne, len(r.queries))
		}
	}
	return out
}

// weigh sets each weight to the goodput of the last second over the use of what is
// allotted, and not far from the mean.
func weigh(replicas []*replica, weights []float64) {
	sum := 0.0
	for n, r := range replicas {
		weights[n] = 0
		if r.used > 0 {
			weights[n] = float64(r.answered) / r.used
		}
		r.answered, r.used = 0, 0
		sum += weights[n]
	}
	mean := sum / float64(len(weights))
	for n, w := range weights {
		weights[n] = min(max(w/mean, 0.1), 1.1)
	}
}

// A replica works at its queries. Work is in nanoseconds of one core.
type replica struct {
	rand    *sim.Rand
	spare   float64 // cores that may be had beyond what is allotted
	limited bool

	cores   float64
	changes time.Duration // when the cores do
	now     time.Duration
	each    float64  // what a query that was always there would have got by now
	queries queries  // by what they need of that
	oldest  []*query // by arrival, with those that have ended
	due     time.Duration
	place   int // in the schedule

	answered int // since the last report
	used     float64
}

type query struct {
	at    time.Duration
	needs float64
	done  func(time.Duration, error)
	place int // among the queries; -1: ended
}

func (r *replica) speed() float64 { return min(1, r.cores/max(1, float64(len(r.queries)))) }

func (r *replica) advance(now time.Duration) {
	d := float64(now - r.now)
	r.each += d * r.speed()
	r.used += d * min(r.cores, float64(len(r.queries)))
	r.now = now
}

func (r *replica) add(now, work time.Duration, done func(time.Duration, error)) {
	r.advance(now)
	q := &query{at: now, needs: r.each + float64(work), done: done}
	heap.Push(&r.queries, q)
	r.oldest = append(r.oldest, q)
	r.reschedule(now)
}

// event lets happen what is due, and returns how many queries have ended.
func (r *replica) event(out *ran, measure time.Duration) (ended int) {
	now := r.due
	r.advance(now)
	end := func(q *query, took time.Duration, err error) {
		ended++
		if q.at >= measure {
			out.took = append(out.took, took)
			if err != nil {
				out.failed++
			}
		}
		q.done(now, err)
	}
	for len(r.queries) > 0 && r.queries[0].needs <= r.each+0.5 {
		q := heap.Pop(&r.queries).(*query)
		r.answered++
		end(q, now-q.at, nil)
	}
	for len(r.oldest) > 0 && (r.oldest[0].place < 0 || now-r.oldest[0].at >= deadline) {
		q := r.oldest[0]
		if r.oldest = r.oldest[1:]; q.place >= 0 {
			heap.Remove(&r.queries, q.place)
			end(q, deadline, context.DeadlineExceeded)
		}
	}
	r.reschedule(now)
	return ended
}

func (r *replica) reschedule(now time.Duration) {
	if now >= r.changes {
		r.changes = now + 200*time.Millisecond + r.rand.Exp(800*time.Millisecond)
		if r.cores = allotted + r.rand.Float64()*r.spare; r.limited {
			r.cores = allotted * (0.45 + 0.35*r.rand.Float64())
		}
	}
	r.due = r.changes
	if len(r.queries) > 0 {
		left := (r.queries[0].needs - r.each) / r.speed()
		r.due = min(r.due, now+max(1, time.Duration(math.Ceil(left))))
	}
	if len(r.oldest) > 0 {
		r.due = min(r.due, max(now, r.oldest[0].at+deadline))
	}
}

// queries are a heap of those that need least.
type queries []*query

func (h queries) Len() int           { return len(h) }
func (h queries) Less(i, j int) bool { return h[i].needs < h[j].needs }

func (h queries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *queries) Push(e any) {
	e.(*query).place = len(*h)
	*h = append(*h, e.(*query))
}

func (h *queries) Pop() any {
	last := len(*h) - 1
	q := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	q.place = -1
	return q
}

// A schedule is a heap of the replicas that have something due.
type schedule []*replica

func (h schedule) Len() int           { return len(h) }
func (h schedule) Less(i, j int) bool { return h[i].due < h[j].due }

func (h schedule) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (schedule) Push(any) { panic("unused") }
func (schedule) Pop() any { panic("unused") }
