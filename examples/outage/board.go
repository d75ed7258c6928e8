package main

import (
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// A press is a button of the live page: what it does to a server, in plain words.
type press struct {
	Name  string // what stands on the page, and in the path that the button posts to
	fault fault
	Text  string
}

var presses = []press{
	{"slow", slow, "Answers, but after two seconds: later than anybody waits."},
	{"503", unavailable, "Answers at once that it cannot answer: 503 Service Unavailable."},
	{"cut", cut, "Begins each answer well and breaks the connection in the middle of it."},
	{"hung", hung, "Takes requests and never answers."},
	{"refused", refused, "The program has ended. Connections to it are refused."},
	{"down", down, "The machine has lost its power. Nothing comes back, not even a refusal."},
	{"mend", none, "Everything is well again."},
}

const (
	spare = 1.25 // capacity of one server, in usual loads: it can carry all of it alone
	rush  = 6    // calls in a rush, in usual loads: more than the servers of a set can answer together
)

// A board holds what the viewers of the live page have done to the servers. It is the same for the set of each client.
type board struct {
	rate  float64 // calls a second, usually
	start time.Time

	mu      sync.Mutex
	faults  [len(instances)]fault
	rushing bool
	late    time.Duration // of the worst call since takeLate
}

// press does to a server, or to "all", what the button with the name does. It reports whether there are such a server and
// such a button.
func (b *board) press(server, name string) bool {
	for _, p := range presses {
		if p.Name != name {
			continue
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for i := range b.faults {
			if server == "all" {
				b.faults[i] = p.fault
			}
		}
		if i := strings.Index(instances, server); i >= 0 && len(server) == 1 {
			b.faults[i] = p.fault
			return true
		}
		return server == "all"
	}
	return false
}

// call sets how many calls are made: "usual" or "rush". It reports whether there is such a number.
func (b *board) call(number string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number != "usual" && number != "rush" {
		return false
	}
	b.rushing = number == "rush"
	return true
}

// state returns the faults of the servers, and whether there is a rush.
func (b *board) state() ([len(instances)]fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults, b.rushing
}

// takeLate returns how late a call was issued, at worst, since it was called last.
func (b *board) takeLate() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	late := b.late
	b.late = 0
	return late
}

func (b *board) fault(instance byte, _ time.Duration) (f fault, since time.Duration) {
	faults, _ := b.state()
	return faults[strings.IndexByte(instances, instance)], 0
}

func (b *board) capacity(byte, time.Duration) float64 { return spare * b.rate }

// calls are the moments at which calls are issued, without an end. Those that a sleeping machine has missed are left out.
func (b *board) calls(seed uint64) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		random := rand.New(rand.NewPCG(seed, 0))
		for t := time.Since(b.start); ; t = max(t, time.Since(b.start)-time.Second) {
			rate := b.rate
			if _, rushing := b.state(); rushing {
				rate *= rush
			}
			t += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
			if !yield(t) {
				return
			}
			b.mu.Lock()
			b.late = max(b.late, time.Since(b.start)-t)
			b.mu.Unlock()
		}
	}
}
