package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// A progress shows a run while it lasts: on a terminal one block, redrawn twice a second, elsewhere one line a second.
type progress struct {
	out      io.Writer
	terminal bool
	drawn    int // lines of the block on the screen
	next     time.Duration
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if !p.terminal {
		p.next = time.Second
	}
	return p
}

// show runs e and shows its progress on out until it has ended.
func (e *experiment) show(ctx context.Context, moments []time.Duration, out io.Writer) {
	p := newProgress(out)
	e.run(ctx, moments, func(now time.Duration) { p.show(e, now) })
	p.clear()
	if e.interrupted {
		fmt.Fprintf(out, "\nInterrupted after %.1f s; until then:\n", e.end.Seconds())
	}
	fmt.Fprintln(out)
}

// show draws the state of e at now, unless it has just done so.
func (p *progress) show(e *experiment, now time.Duration) {
	if now < p.next {
		return
	}
	if !p.terminal {
		p.next += time.Second
		fmt.Fprintln(p.out, line(e, now))
		return
	}
	p.next += time.Second / 2
	text := block(e, now)
	p.clear()
	p.drawn = strings.Count(text, "\n")
	io.WriteString(p.out, text)
}

// clear takes the block off the screen.
func (p *progress) clear() {
	if p.drawn > 0 {
		fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// line is the state of e in one line.
func line(e *experiment, now time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%4.0f s", now.Seconds())
	for _, c := range e.columns {
		s, _, _ := recent(c, now)
		fmt.Fprintf(&b, "  %s %6s", c.name, percent(s, 0))
	}
	if states := states(e); states != "" {
		fmt.Fprintf(&b, "  belay: %s", states)
	}
	if e.schedule.total > 0 {
		fmt.Fprintf(&b, "  | %s", e.schedule.describe(now))
	}
	return b.String()
}

// block is the state of e in some lines, none wider than a terminal.
func block(e *experiment, now time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%5.1f s", now.Seconds())
	if total := e.schedule.total; total > 0 {
		const width = 40
		done := min(width, int(width*now/total))
		fmt.Fprintf(&b, " of %.0f s  %s%s\n         %s", total.Seconds(),
			strings.Repeat("#", done), strings.Repeat(".", width-done), e.schedule.describe(now))
	}
	fmt.Fprintf(&b, "\n\nlast second   success   median wait   requests upstream\n")
	for _, c := range e.columns {
		s, wait, sent := recent(c, now)
		fmt.Fprintf(&b, "%-11s   %7s   %8s ms   %8d /s\n", c.name, percent(s, 0), millis(wait), sent)
	}
	if states := states(e); states != "" {
		fmt.Fprintf(&b, "\nbelay keeps   %s (all: its breaker)\n", states)
	}
	return b.String()
}

// recent sums up the calls that ended in the second before now, and the requests that arrived in it.
func recent(c *column, now time.Duration) (s share, median time.Duration, sent int) {
	var waits []time.Duration
	for _, call := range slices.Backward(c.finished()) {
		if call.issued+call.took <= now-time.Second {
			break
		}
		s.of++
		if call.ok {
			s.part++
		}
		waits = append(waits, call.took)
	}
	slices.Sort(waits)
	for _, instance := range c.received() {
		sent += within(instance, now-time.Second, now)
	}
	return s, quantile(waits, 0.5), sent
}

// states says what belay does with the calls to each target, and to all.
func states(e *experiment) string {
	var words []string
	for i, state := range e.belay() {
		if state != "" {
			words = append(words, e.targets[i]+" "+state)
		}
	}
	return strings.Join(words, ", ")
}
