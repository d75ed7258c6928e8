package main

import (
	"slices"
	"strings"
	"time"
)

// phases is the whole story of a run. An instance has the fault of the first phase that names it, so a moment at which
// no phase names all four is a moment at which a call can be answered. Breakers open for their five seconds however
// long the run is, so the story is told for two runs, and one of another length lies on the straight line through them.
var phases = []phase{
	// from and to, in seconds of the shortest run and of the usual one
	{slow, "A", moment{0.6, 1.0}, moment{4.5, 12.3}},
	{cut, "C", moment{1.6, 3.0}, moment{4.5, 12.3}},
	{busy, "B", moment{3.6, 11.1}, moment{4.5, 12.3}}, // now only D is good
	{unavailable, "ABCD", moment{4.6, 12.6}, moment{6.0, 15.3}},
	{reduced, "ABCD", moment{6.0, 15.3}, moment{11.5, 22.0}},
}

const (
	shortest = 12 * time.Second
	usual    = 26 * time.Second
)

// A moment is the time since the start at which something happens in the shortest run and in the usual one.
type moment [2]float64

// What the faults do. Capacities are multiples of the rate of calls.
const (
	slowFor     = 2 * time.Second         // time that a slow instance takes to answer
	burstEvery  = 1500 * time.Millisecond // a busy instance refuses during the first part of each period
	burstFor    = 1200 * time.Millisecond
	headroom    = 1.5                     // capacity of one healthy instance: it can carry the whole load alone
	reducedFrom = 0.1                     // capacity of all four together when a reduced phase begins,
	reducedTo   = 2.5                     // and when it ends
	maxWait     = 1500 * time.Millisecond // a request that would wait for longer is refused
	refusalCost = 0.5                     // work of a refusal, as a share of the work of an answer
	maxDebt     = 250 * time.Millisecond  // the work of refusals can make an overfull queue longer by this
)

// instances names the servers of a set.
const instances = "ABCD"

type fault int

const (
	none        fault = iota
	slow              // answers late
	busy              // answers 503 with Retry-After in bursts
	cut               // resets the connection after half of the body
	unavailable       // answers 503
	reduced           // has only part of its capacity, which grows back
	hung              // takes requests and never answers
	refused           // has ended: its connections break, and new ones are refused
	down              // has lost its machine: nothing comes back, not even to a new connection
)

func (f fault) String() string {
	return [...]string{"good", "slow", "503 bursts", "resets", "503", "weak", "hung", "refused", "down"}[f]
}

type phase struct {
	fault     fault
	instances string
	from, to  moment
}

// A schedule says what is wrong with which instance at each moment of a run that lasts for total and issues rate calls
// a second. Its zero value, a run without faults, describes servers that are not ours.
type schedule struct {
	total time.Duration
	rate  float64
}

// at returns when m is in a run of this length.
func (s schedule) at(m moment) time.Duration {
	share := float64(s.total-shortest) / float64(usual-shortest)
	return time.Duration((m[0] + share*(m[1]-m[0])) * float64(time.Second)).Round(time.Millisecond)
}

// fault returns what is wrong with an instance at t, from is when it began.
func (s schedule) fault(instance byte, t time.Duration) (f fault, from time.Duration) {
	if s.total == 0 {
		return none, 0
	}
	for _, p := range phases {
		if strings.IndexByte(p.instances, instance) >= 0 && s.at(p.from) <= t && t < s.at(p.to) {
			return p.fault, s.at(p.from)
		}
	}
	return none, 0
}

// span returns when the only phase with the fault begins and ends.
func (s schedule) span(f fault) (from, to time.Duration) {
	i := slices.IndexFunc(phases, func(p phase) bool { return p.fault == f })
	return s.at(phases[i].from), s.at(phases[i].to)
}

// capacity returns how many requests a second one instance can answer at t.
func (s schedule) capacity(instance byte, t time.Duration) float64 {
	if f, _ := s.fault(instance, t); f != reduced {
		return headroom * s.rate
	}
	from, to := s.span(reduced)
	done := float64(t-from) / float64(to-from)
	return (reducedFrom + done*(reducedTo-reducedFrom)) * s.rate / float64(len(instances))
}

// answerable reports whether at least one instance is good at t.
func (s schedule) answerable(t time.Duration) bool {
	for i := range len(instances) {
		if f, _ := s.fault(instances[i], t); f == none {
			return true
		}
	}
	return false
}

// describe names the faults at t in a few words.
func (s schedule) describe(t time.Duration) string {
	first, _ := s.fault(instances[0], t)
	var words []string
	same := true
	for i := range len(instances) {
		f, _ := s.fault(instances[i], t)
		same = same && f == first
		if f != none {
			words = append(words, instances[i:i+1]+" "+f.String())
		}
	}
	if same {
		return "all " + first.String()
	}
	return strings.Join(words, ", ")
}
