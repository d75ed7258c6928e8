package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// printTable prints what each column is made of, one line of figures for each, what those mean, and the whole in a sentence.
func printTable(out io.Writer, e *experiment) {
	printStacks(out, e)
	fmt.Fprintf(out, "%-7s %9s %9s %9s %9s   %14s   %13s   %s\n",
		"", "answered", "p50", "p99", "p99.9", "load in outage", "failed fast", "back after")
	for _, r := range e.results() {
		fmt.Fprintf(out, "%-7s %9s %6s ms %6s ms %6s ms   %14s   %13s   %s\n", r.name, percent(r.answered, 1),
			millis(r.p50), millis(r.p99), millis(r.p999), times(r.load), count(r.failedFast), back(r))
	}
	fmt.Fprint(out, `
answered        successes, of the calls issued while at least one instance was good
p50, p99, p99.9 time until those calls ended, well or badly (each has a deadline of 1 s)
load in outage  requests that reached the servers, per call, while all four were down
failed fast     failures within 50 ms, of all failures of the run
back after      time from the end of the outage until 95 % of the calls succeed, for a second

`)
	fmt.Fprintln(out, summary(e.results()))
}

// printStacks prints what each column is made of.
func printStacks(out io.Writer, e *experiment) {
	for _, c := range e.columns {
		fmt.Fprintf(out, "%-7s %s\n", c.name, c.layers)
	}
	fmt.Fprintln(out)
}

// summary puts the outage into one sentence.
func summary(results []result) string {
	naive, careful, belay := named(results, "naive"), named(results, "careful"), named(results, "belay")
	if naive.load.of == 0 {
		return "The run ended before the outage."
	}
	recovery := func(r result) string {
		if r.recovery < 0 {
			return "no recovery within the run"
		}
		return back(r) + " to recover"
	}
	return fmt.Sprintf("naive: %s load on a dying backend, %s; belay: %s load, %s, and %s of what could be answered (careful: %s, plain: %s).",
		times(naive.load), recovery(naive), times(belay.load), recovery(belay),
		percent(belay.answered, 1), percent(careful.answered, 1), percent(named(results, "plain").answered, 1))
}

// named returns the result of a column.
func named(results []result, name string) result {
	return results[slices.IndexFunc(results, func(r result) bool { return r.name == name })]
}

func percent(s share, digits int) string {
	if s.of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f %%", digits, 100*s.rate())
}

func times(s share) string {
	switch {
	case s.of == 0:
		return "-"
	case s.rate() < 1:
		return fmt.Sprintf("%.2fx", s.rate())
	}
	return fmt.Sprintf("%.1fx", s.rate())
}

func count(s share) string {
	return fmt.Sprintf("%d of %d", s.part, s.of)
}

func millis(d time.Duration) string {
	return fmt.Sprint(math.Round(float64(d) / float64(time.Millisecond)))
}

func back(r result) string {
	switch {
	case r.load.of == 0:
		return "-"
	case r.recovery < 0:
		return "not within the run"
	}
	return fmt.Sprintf("%.1f s", r.recovery.Seconds())
}
