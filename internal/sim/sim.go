// Package sim plays systems under load in virtual time, to show what retries, breakers, limits and balancers do to them.
//
// A simulation is one goroutine in a testing/synctest bubble, which sleeps from event to event and calls the real
// policies: their clocks, timers and contexts live in the bubble's time too. It depends on nothing but its seed:
//
//	sim.Run(t, seed, func(s *sim.Sim) {
//		b := breaker.New(breaker.Config{})
//		s.Poisson(0, time.Minute, 40, func() {
//			permit, err := b.Allow()
//			...
//			s.After(s.Rand.Exp(time.Second), func() { permit.Done(breaker.Success) })
//		})
//	})
//
// Events are the natural style where a policy never blocks (Allow and Done, Pick and Done). Calls that block (retry.Do,
// Limiter.Wait) run in processes, started with [Sim.Go], which take turns: see there for what keeps them deterministic.
//
// Under go test a simulation is short, and asserts. With the flag -full it runs whole and prints its tables:
//
//	go test -v -run Sim ./retry -full
//
// The flag stands behind the packages, and all of them must have it, which they do by importing this package. For those
// that do not ("./..."), BELAY_FULL=1 in the environment says the same.
package sim

import (
	"cmp"
	"container/heap"
	"context"
	"flag"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var full = flag.Bool("full", false, "run simulations in full length and print their tables")

// Full reports whether the simulations are to run in full length and print their tables.
func Full() bool { return *full || os.Getenv("BELAY_FULL") != "" }

// A Sim is a running simulation. Only events and processes that have the turn may use it.
type Sim struct {
	Rand *Rand // for everything but arrivals, which have sources of their own

	seed, sources uint64
	start         time.Time
	timer         *time.Timer

	mu        sync.Mutex // processes file their events out of turn
	events    events
	filed     int
	processes int // ever started
	alive     int
	changed   chan struct{} // an event was filed, or a process ended
}

// Run plays a simulation in a bubble of its own: setup files the first events, and Run returns when none is left and all
// processes have ended.
func Run(t *testing.T, seed uint64, setup func(*Sim)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &Sim{Rand: NewRand(seed, 0), seed: seed, start: time.Now(), changed: make(chan struct{}, 1)}
		s.timer = time.NewTimer(0)
		setup(s)
		for s.step() {
		}
	})
}

// Now returns the time since the simulation's start.
func (s *Sim) Now() time.Duration { return time.Since(s.start) }

// At files an event: f is called at that time, or now if it has passed. Events of one instant happen in the order of
// their filing, after the policies' timers of that instant. What a timer's callback shares with events needs a mutex, as
// timers run on goroutines of their own; the order is certain all the same.
func (s *Sim) At(at time.Duration, f func()) { s.file(&event{at: at, f: f}) }

// After is At, counted from now.
func (s *Sim) After(d time.Duration, f func()) { s.At(s.Now()+d, f) }

// Go starts a process: a goroutine with code that may block in policies. Processes take turns: those of one instant come
// after its events, in the order in which they were started, each when the one before has blocked. A process has the
// turn from its start, and from the return of [Sim.Sleep], until it blocks. Where anything else than Sleep may have
// blocked (a policy waited, then called an operation; a policy returned), it calls Sleep, with 0 if need be, before it
// looks at or changes what others do too.
//
// What policies do after a wait of their own, before the process calls Sleep, is out of turn. The seed alone decides the
// outcome all the same, unless two processes wake in one nanosecond and want the same token or permit: draw delays
// from continuous distributions, or use events.
func (s *Sim) Go(f func(context.Context)) {
	s.mu.Lock()
	s.processes++
	s.alive++
	id := s.processes
	s.mu.Unlock()
	s.file(&event{at: s.Now(), process: id, f: func() {
		go func() {
			defer func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.alive--
				s.poke()
			}()
			f(context.WithValue(context.Background(), processKey{}, id))
		}()
	}})
}

type processKey struct{}

// Sleep lets a process wait for d, or until the context ends, and then for its turn. It returns ctx.Err(). The context
// is that of the process, or derived from it: the policies' own contexts are.
func (s *Sim) Sleep(ctx context.Context, d time.Duration) error {
	id, ok := ctx.Value(processKey{}).(int)
	if !ok {
		panic("sim: Sleep: the context is not that of a process")
	}
	turn := make(chan struct{})
	e := &event{at: s.Now() + d, process: id, f: func() { close(turn) }}
	s.file(e)
	select {
	case <-turn:
	case <-ctx.Done():
		s.mu.Lock()
		if e.place >= 0 {
			e.at = s.Now()
			heap.Fix(&s.events, e.place)
			s.poke()
		}
		s.mu.Unlock()
		<-turn
	}
	return ctx.Err()
}

func (s *Sim) file(e *event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filed++
	e.at, e.filed = max(e.at, s.Now()), s.filed
	heap.Push(&s.events, e)
	s.poke()
}

func (s *Sim) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// step lets the next event happen, or sleeps until one is due. It reports false when there is nothing to come.
func (s *Sim) step() bool {
	if s.due() {
		synctest.Wait() // the timers of this instant go first, and whoever has the turn goes on until it blocks
		s.mu.Lock()
		e := heap.Pop(&s.events).(*event)
		s.mu.Unlock()
		e.f()
		return true
	}
	s.mu.Lock()
	s.timer.Stop()
	if len(s.events) > 0 {
		s.timer.Reset(s.events[0].at - s.Now())
	}
	more := len(s.events) > 0 || s.alive > 0
	select {
	case <-s.changed: // seen
	default:
	}
	s.mu.Unlock()
	if more {
		select {
		case <-s.timer.C:
		case <-s.changed:
		}
	}
	return more
}

func (s *Sim) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events) > 0 && s.events[0].at <= s.Now()
}

// An event is something to come.
type event struct {
	at      time.Duration
	process int // whose turn it is; 0: an event of its own
	filed   int // counts; not the seed's alone for processes, which file out of turn
	f       func()
	place   int // in the heap; -1 when it has happened
}

// events is a heap of events in the order in which they happen.
type events []*event

func (h events) Len() int { return len(h) }

func (h events) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.process, b.process), cmp.Compare(a.filed, b.filed)) < 0
}

func (h events) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *events) Push(e any) {
	e.(*event).place = len(*h)
	*h = append(*h, e.(*event))
}

func (h *events) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	e.place = -1
	return e
}
