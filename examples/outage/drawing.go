package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Sizes in the units of the drawing's view box. There is a wide drawing, and a narrow one for phones: type that is
// scaled down cannot be read.
const (
	wide        = 1000
	narrow      = 380
	plotLeft    = 84
	panelHeight = 140
	rowHeight   = 18
	rowStep     = 22
	letter      = 5.8 // width, on average, in the type of labels
	titleLetter = 7.7 // and in that of titles
	nameLetter  = 6.6 // and in that of names, which may have many wide ones
)

// A drawing is the time lines of a run, one below the other over the same time.
type drawing struct {
	Class                 string // wide or narrow
	Width, Height         int
	Left, Right           int
	RowHeight             int
	Shades                []bar // parts of the run, over all time lines
	ShadeTop, ShadeBottom int
	Faults                []row
	Panels                []panel
	StatesTitle           string
	StatesTop             int
	States                []row
	Seconds               []tick // of the common axis
	Bucket                time.Duration

	span time.Duration
}

// A bar is a stretch of time.
type bar struct {
	X, Width    float64
	Class, Text string
}

// Mid is where its text goes.
func (b bar) Mid() float64 { return tenth(b.X + b.Width/2) }

// ShadeHeight is how far the shades reach down.
func (d *drawing) ShadeHeight() int { return d.ShadeBottom - d.ShadeTop }

// A row is what happens to one instance.
type row struct {
	Name string
	Y    int
	Bars []bar
}

// A tick is a labelled place on an axis.
type tick struct {
	At    float64
	Label string
}

func draw(e *experiment, width int) *drawing {
	d := &drawing{Class: "wide", Width: width, Left: plotLeft, Right: width - 15, RowHeight: rowHeight, ShadeTop: 24,
		Bucket: 250 * time.Millisecond, span: max(e.end, e.schedule.total, time.Second)}
	if width < wide {
		d.Class, d.Left = "narrow", 62
	}
	if n := len(e.columns[0].finished()); n > 0 {
		d.Bucket = max(d.Bucket, (5 * e.end / time.Duration(n)).Round(time.Millisecond)) // a rate of fewer calls says little
	}
	y := d.ShadeTop + 6
	if s := e.schedule; s.total > 0 {
		d.Shades = d.parts(s)
		for i := range len(instances) {
			d.Faults = append(d.Faults, row{"server " + instances[i:i+1], y, d.faults(s, instances[i])})
			y += rowStep
		}
	}
	for _, n := range []panel{d.success(e), d.waits(e), d.load(e)} {
		n.Top = y + 40
		y = n.Top + panelHeight
		d.Panels = append(d.Panels, n)
	}
	y += 40
	d.StatesTop, d.StatesTitle = y-10, d.title("Where belay sends calls, and whether it sends any", "Where belay sends calls")
	for i, name := range e.targets {
		if e.schedule.total > 0 && name != service {
			name = "server " + name
		}
		d.States = append(d.States, row{d.shorten(name), y, d.states(e.samples, i)})
		y += rowStep
	}
	d.ShadeBottom = y
	d.Height = y + 40
	step := time.Second
	for _, next := range []time.Duration{2, 5, 10, 30, 60, 120, 300, 600} {
		if d.span/step > time.Duration((d.Right-d.Left)/56) {
			step = next * time.Second
		}
	}
	for t := time.Duration(0); t <= d.span; t += step {
		d.Seconds = append(d.Seconds, tick{d.x(t), fmt.Sprintf("%.0f s", t.Seconds())})
	}
	return d
}

// parts are the three parts of the run that its faults make.
func (d *drawing) parts(s schedule) []bar {
	first, last := s.total, time.Duration(0)
	for _, p := range phases {
		if p.instances != instances {
			first, last = min(first, s.at(p.from)), max(last, s.at(p.to))
		}
	}
	outage, end := s.span(unavailable)
	weak, back := s.span(reduced)
	return []bar{
		d.bar(first, last, "single", "up to three servers fail, one is good", "one is good"),
		d.bar(outage, end, "down", "all fail"),
		d.bar(weak, back, "weak", "all are back, but weak at first", "weak"),
	}
}

func (d *drawing) faults(s schedule, instance byte) []bar {
	var bars []bar
	for _, p := range phases {
		if strings.IndexByte(p.instances, instance) < 0 {
			continue
		}
		texts := [...][]string{slow: {"slow: answers after 2 s", "slow"}, busy: {"503s now and then", "503s"},
			cut: {"reset after half of the body", "reset"}, unavailable: {"503"}, reduced: {"capacity grows back", "weak"}}[p.fault]
		bars = append(bars, d.bar(s.at(p.from), s.at(p.to), "fault", texts...))
	}
	return bars
}

// states are the stretches in which a state did not change.
func (d *drawing) states(samples []sample, instance int) []bar {
	var bars []bar
	for i := 0; i < len(samples); {
		state, from := samples[i].states[instance], samples[i].at-sampleEvery
		for i < len(samples) && samples[i].states[instance] == state {
			i++
		}
		if state != "" {
			bars = append(bars, d.bar(max(0, from), samples[i-1].at, state))
		}
	}
	return bars
}

// height is where a share of a panel's height is drawn.
func height(share float64) float64 { return tenth(panelHeight * (1 - share)) }

// tenth rounds to what the eye can tell.
func tenth(v float64) float64 { return math.Round(10*v) / 10 }

func (d *drawing) x(t time.Duration) float64 {
	return tenth(float64(d.Left) + float64(d.Right-d.Left)*float64(t)/float64(d.span))
}

// bar has the first of the texts that fits into it.
func (d *drawing) bar(from, to time.Duration, class string, texts ...string) bar {
	width := tenth(d.x(to) - d.x(from))
	return bar{d.x(from), width, class, d.fits(width, texts...)}
}

// title returns the first of the texts that fits over a panel.
func (d *drawing) title(texts ...string) string {
	return d.fits(float64(d.Right-d.Left)*letter/titleLetter, texts...)
}

// shorten returns as much of a name as fits into the drawing.
func (d *drawing) shorten(name string) string {
	most := int(float64(d.Right-d.Left) / nameLetter)
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return name
}

// fits returns the first of the texts that is no wider than width, or "".
func (d *drawing) fits(width float64, texts ...string) string {
	for _, text := range texts {
		if float64(len(text))*letter <= width {
			return text
		}
	}
	return ""
}
