package main

import (
	"math"
	"slices"
	"time"

	"github.com/belay-go/belay/breaker"
)

// passed is what belay does with calls to a server that would get some if the others were not quicker.
const passed = "passed"

// A frame is what the live page is told of a moment.
type frame struct {
	At      int64     // milliseconds since the start
	Late    int64     // milliseconds by which a call was issued too late: the machine is busy
	Rush    bool      // more calls than the servers can answer
	Clients []reading // in the order of stacks
	Faults  []string  // of the servers: the names of presses
	States  []string  // what belay does with calls to each server, and to all
	Belay   condition
}

// A reading is what a client has achieved in the last second.
type reading struct {
	OK, Ended int   // calls that succeeded, of those that ended
	Wait      int64 // milliseconds within which 19 of 20 of them ended
	Sent      int   // requests to its servers
}

// A condition is how the layers of belay are.
type condition struct {
	Breaker   breakerCondition
	Endpoints []endpointCondition
	Budget    budgetCondition
	Limiter   limiterCondition
}

type breakerCondition struct {
	State   string
	Seconds float64 // until trials, if it is open
	Calls   int     // that it looks back at,
	Bad     int     // and what failed of them
}

type endpointCondition struct {
	State   string
	Reason  string
	Running int   // calls under way
	Expects int64 // milliseconds until an answer
	Sent    int   // requests in the last second
}

type budgetCondition struct {
	Left    float64 // retries that can be made at once
	Granted uint64  // since the start
	Refused uint64
}

type limiterCondition struct {
	Rate    float64 // requests a second
	Free    float64 // of Burst, requests that can be sent at once
	Burst   int
	Waiting int
	Refused uint64 // since the start
}

// frame takes the next one.
func (l *live) frame() frame {
	faults, rushing := l.board.state()
	f := frame{At: time.Since(l.start).Milliseconds(), Late: l.board.takeLate().Milliseconds(), Rush: rushing, States: l.belay.states()}
	for _, fault := range faults {
		f.Faults = append(f.Faults, presses[slices.IndexFunc(presses, func(p press) bool { return p.fault == fault })].Name)
	}
	for _, c := range l.columns {
		f.Clients = append(f.Clients, c.read())
	}
	f.Belay = l.belay.condition()
	mine, all := l.columns[len(l.columns)-1], len(instances)
	for i := range f.Belay.Endpoints {
		f.Belay.Endpoints[i].Sent = mine.sentTo(i)
		switch {
		case f.States[all] == out:
			f.States[i] = out
		case f.States[i] == used && mine.sentTo(i) == 0 && f.Clients[len(f.Clients)-1].Sent > 0:
			f.States[i] = passed
		}
	}
	return f
}

// read looks at the last second. It must be called at every frame, and nowhere else.
func (c *recentColumn) read() (r reading) {
	copy(c.ended[1:], c.ended[:])
	copy(c.sent[1:], c.sent[:])
	c.ended[0], c.sent[0] = c.take(), [len(instances)]int{}
	for i, in := range c.set {
		c.sent[0][i] = in.take()
	}
	var waits []time.Duration
	for _, call := range slices.Concat(c.ended[:]...) {
		if call.ok {
			r.OK++
		}
		waits = append(waits, call.took)
	}
	slices.Sort(waits)
	r.Ended, r.Wait = len(waits), quantile(waits, 0.95).Milliseconds()
	for i := range c.set {
		r.Sent += c.sentTo(i)
	}
	return r
}

// sentTo returns how many requests a server was sent in the last second.
func (c *recentColumn) sentTo(i int) (n int) {
	for _, sent := range c.sent {
		n += sent[i]
	}
	return n
}

func (b *belay) condition() condition {
	var c condition
	s := b.breaker.Stats()
	c.Breaker = breakerCondition{State: s.State.String(), Calls: s.Window.Calls, Bad: s.Window.Failed}
	if s.State == breaker.Open && !s.NextTrial.IsZero() {
		c.Breaker.Seconds = max(0, math.Round(10*time.Until(s.NextTrial).Seconds())/10)
	}
	for _, e := range b.balancer.Stats().Endpoints {
		c.Endpoints = append(c.Endpoints, endpointCondition{State: e.State.String(), Reason: e.Reason, Running: e.InFlight, Expects: e.Latency.Milliseconds()})
	}
	budget := b.budget.Stats()
	c.Budget = budgetCondition{math.Round(10*budget.Balance) / 10, budget.Granted, budget.Refused}
	l := b.limiter.Stats()
	c.Limiter = limiterCondition{float64(l.Limit), math.Round(l.Tokens), l.Burst, l.Waiting, l.Refused}
	return c
}
