// Package mishap tests what becomes of a program whose own code ends badly: it panics,
// calls runtime.Goexit, or hangs, early or late. Each [Case] runs in a child process, so
// that one that ends the process is an outcome like any other, and in a bubble of
// testing/synctest, where hanging takes no time.
package mishap

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An Ending is a way in which code ends.
type Ending int

// The endings. Each but Returns is bad.
const (
	Returns Ending = iota
	Panics         // with Value
	Exits          // by runtime.Goexit
	Hangs          // for Hang, and returns
)

// Endings are all bad ones.
var Endings = []Ending{Panics, Exits, Hangs}

// Value is what code panics with.
const Value = "mishap"

// Hang is how long code hangs that does.
const Hang = 24 * time.Hour

func (e Ending) String() string { return [...]string{"returns", "panics", "exits", "hangs"}[e] }

// End ends the caller in this way.
func (e Ending) End() {
	switch e {
	case Panics:
		panic(Value)
	case Exits:
		runtime.Goexit()
	case Hangs:
		time.Sleep(Hang)
	}
}

// A Case is code that ends badly in one place.
type Case struct {
	Name string // stands in failures
	// Run returns what has come of it, in words. It runs in a bubble, in a child
	// process.
	Run  func(t *testing.T) string
	Want string // the same, or Dies, or Stuck
}

// What comes of a case that does not return.
const (
	Dies  = "the process dies" // of a panic with Value
	Stuck = "the process is stuck"
)

// Sorted sorts cases by name, so that all processes number them in the same way.
func Sorted(cases []Case) []Case {
	slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cases
}

// Run runs the cases. It is called by a test at top level, which does nothing else.
func Run(t *testing.T, cases []Case) {
	if from, ok := os.LookupEnv(variable); ok {
		child(t, from, cases)
		return
	}
	if len(cases) == 0 {
		t.Fatal("mishap: no cases")
	}
	for from := 0; from < len(cases); {
		out, stuck := start(t, from)
		got := outcomes(out)
		for i, outcome := range got {
			compare(t, cases[from+i], outcome)
		}
		if from += len(got); from == len(cases) {
			return
		}
		compare(t, cases[from], ending(out, stuck)) // it has ended the process
		from++
	}
}

const (
	variable = "BELAY_MISHAP" // the case from which a child process begins
	mark     = "mishap: "     // before an outcome
	patience = time.Minute    // for a child process
)

func compare(t *testing.T, c Case, got string) {
	t.Helper()
	if got != c.Want {
		t.Errorf("%s\ngot  %s\nwant %s", c.Name, got, c.Want)
	}
}

// start runs a child process from that case on, and returns what it writes.
func start(t *testing.T, from int) (out string, stuck bool) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), variable+"="+strconv.Itoa(from))
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return b.String(), ctx.Err() != nil
}

func child(t *testing.T, from string, cases []Case) {
	i, err := strconv.Atoi(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases[i:] {
		synctest.Test(t, func(t *testing.T) {
			outcome := c.Run(t)
			time.Sleep(2 * Hang) // until all have ended that hang
			synctest.Wait()
			fmt.Fprintf(os.Stdout, "\n%s%q\n", mark, outcome)
		})
	}
}

// outcomes returns what the cases have returned that a child process has run.
func outcomes(out string) (outcomes []string) {
	for line := range strings.Lines(out) {
		if quoted, ok := strings.CutPrefix(line, mark); ok {
			outcome, err := strconv.Unquote(strings.TrimSpace(quoted))
			if err != nil {
				outcome = err.Error()
			}
			outcomes = append(outcomes, outcome)
		}
	}
	return outcomes
}

// ending returns how a child process has ended in the middle of a case.
func ending(out string, stuck bool) string {
	switch {
	case stuck:
		return Stuck
	case strings.Contains(out, "panic: "+Value):
		return Dies
	}
	return "the process ends otherwise:\n" + out
}

// Ended calls f on a goroutine of its own and says how it ends: "returns", "panics" or
// "exits". It returns what f has panicked with.
func Ended(f func()) (how Ending, value any) {
	var wg sync.WaitGroup
	wg.Go(func() {
		how = Exits
		defer func() {
			if value = recover(); value != nil {
				how = Panics
			}
		}()
		f()
		how = Returns
	})
	wg.Wait()
	return how, value
}
