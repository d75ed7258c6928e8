package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"
)

//go:embed report.html
var reportHTML string

//go:embed style.css
var style string // of the report and the live page

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// A page is what the template shows.
type page struct {
	Style       template.CSS
	Own         bool // own servers with faults, not the user's URLs
	Interrupted string
	Late        string // by how much the machine was too slow, if that matters
	Calls       int
	Targets     string
	Duration    time.Duration
	Rate        float64
	Seed        uint64
	Stacks      []stack
	Heads       []string
	Rows        [][]string
	Summary     string
	Drawings    []*drawing
}

func (s stack) Name() string   { return s.name }
func (s stack) Layers() string { return s.layers }

// writeReport writes the run as one self-contained page.
func writeReport(w io.Writer, o options, e *experiment) error {
	p := page{Style: template.CSS(style), Own: len(o.urls) == 0, Duration: o.duration, Rate: o.rate, Seed: o.seed, Targets: plural(len(o.urls), "URL"),
		Drawings: []*drawing{draw(e, wide), draw(e, narrow)}}
	if e.interrupted {
		p.Interrupted = fmt.Sprintf("%.1f s", e.end.Seconds())
	}
	if e.late > tooLate {
		p.Late = fmt.Sprintf("%.1f s", e.late.Seconds())
	}
	p.Heads = []string{"", "answered", "p50", "p99", "p99.9", "requests", "failed fast"}
	if p.Own {
		p.Heads = []string{"", "answered", "p50", "p99", "p99.9", "load in outage", "failed fast", "back after"}
		p.Summary = summary(e.results())
	}
	for i, r := range e.results() {
		c := e.columns[i]
		p.Stacks = append(p.Stacks, c.stack)
		p.Calls += r.calls
		cells := []string{r.name, percent(r.answered, 1), millis(r.p50) + " ms", millis(r.p99) + " ms", millis(r.p999) + " ms"}
		if p.Own {
			cells = append(cells, times(r.load), count(r.failedFast), back(r))
		} else {
			cells = append(cells, fmt.Sprint(len(slices.Concat(c.received()...))), count(r.failedFast))
		}
		p.Rows = append(p.Rows, cells)
	}
	return reportTemplate.Execute(w, p)
}
