package breaker_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/internal/sim"
)

// An ailment is what befalls a backend that was well.
type ailment struct {
	name  string
	takes time.Duration // how long a call takes then
	fails func(n int) bool
	body  bool // the calls are answered well, and break off after that
	cfg   breaker.Config
}

func always(int) bool { return true }

var ailments = []ailment{
	{name: "every call fails", takes: 10 * time.Millisecond, fails: always},
	{name: "every response breaks off", takes: 10 * time.Millisecond, fails: always, body: true},
	{name: "every call times out, after 10s", takes: 10 * time.Second, fails: always},
	{name: "the same, Slow: 1s, CountInFlight", takes: 10 * time.Second, fails: always, cfg: breaker.Config{Slow: time.Second, CountInFlight: true}},
	{name: "3 of 5 calls fail", takes: 10 * time.Millisecond, fails: func(n int) bool { return n%5 != 1 && n%5 != 3 }},
	{name: "every call takes 2s, Slow: 1s", takes: 2 * time.Second, fails: func(int) bool { return false }, cfg: breaker.Config{Slow: time.Second}},
	{name: "1 of 3 calls fails", takes: 10 * time.Millisecond, fails: func(n int) bool { return n%3 == 0 }},
}

var traffic = []struct {
	name string
	rate float64       // calls a second
	wait time.Duration // for the breaker to open
	full bool          // only in full length
}{
	{"0.03/s", 0.03, time.Hour, false},
	{"1/s", 1, time.Hour, false},
	{"10/s", 10, 5 * time.Minute, false},
	{"100/s", 100, time.Minute, false},
	{"1,000/s", 1000, 20 * time.Second, true},
	{"10,000/s", 10_000, 20 * time.Second, true},
}

// opensAfter returns how long after its beginning an ailment opens the breaker of a
// client with so many calls a second; "never" if it does not.
func opensAfter(t *testing.T, a ailment, rate float64, wait time.Duration) string {
	t.Helper()
	opened := time.Duration(-1)
	sim.Run(t, 1, func(s *sim.Sim) {
		b := breaker.Seeded(a.cfg, s.Rand.Float64)
		gap := time.Duration(float64(time.Second) / rate)
		well := max(15*time.Second, 10*gap) // and then ill
		n := 0
		look := func() {
			if opened < 0 && b.State() == breaker.Open {
				opened = s.Now() - well
			}
		}
		var call func()
		call = func() {
			now := s.Now()
			if opened >= 0 || now > well+wait {
				return
			}
			s.After(gap, call)
			permit, err := b.Allow()
			if err != nil {
				look()
				return
			}
			if now < well {
				s.After(10*time.Millisecond, func() { permit.Done(breaker.Success) })
				return
			}
			n++
			outcome := breaker.Success
			if a.fails(n) {
				outcome = breaker.Failure
			}
			if a.body {
				permit.Answered(breaker.Success)
			}
			s.After(a.takes, func() { permit.Done(outcome); look() })
		}
		s.At(0, call)
	})
	switch {
	case opened < 0:
		return "never"
	case opened < time.Second:
		return opened.Round(time.Millisecond).String()
	case opened < 10*time.Second:
		return opened.Round(100 * time.Millisecond).String()
	}
	return opened.Round(time.Second).String()
}

// TestSimOpens compares the table of the package documentation, what opens a breaker
// and how fast, with what happens.
func TestSimOpens(t *testing.T) {
	head := []any{"what happens"}
	for _, c := range traffic {
		head = append(head, c.name)
	}
	var table sim.Table
	table.Row(head...)
	documented := documentedTable(t)
	for _, a := range ailments {
		row := []any{a.name}
		for i, c := range traffic {
			if c.full && !sim.Full() {
				continue
			}
			got := opensAfter(t, a, c.rate, c.wait)
			row = append(row, got)
			if want := documented[a.name]; i >= len(want) || want[i] != got {
				t.Errorf("%s, %s: opens after %s, documented: %q", a.name, c.name, got, want)
			}
		}
		table.Row(row...)
	}
	if sim.Full() || t.Failed() {
		t.Log("\n" + table.String())
	}
}

// documentedTable returns the rows of the table in the package documentation.
func documentedTable(t *testing.T) map[string][]string {
	text, err := os.ReadFile("breaker.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	columns := regexp.MustCompile(` {2,}`)
	for line := range strings.Lines(string(text)) {
		row := columns.Split(strings.TrimSpace(strings.TrimPrefix(line, "//")), -1)
		if slices.ContainsFunc(ailments, func(a ailment) bool { return a.name == row[0] }) {
			rows[row[0]] = row[1:]
		}
	}
	return rows
}
