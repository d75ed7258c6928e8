package main

import (
	"fmt"
	"math"
	"slices"
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

// A panel is a diagram with one line for each column, drawn below Top.
type panel struct {
	Title string
	Top   int
	Ticks []tick
	Lines []curve
	Note  *tick // a level to compare with
}

type curve struct{ Name, Path string }

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
	d.StatesTop = y - 10
	for i, name := range e.targets {
		if e.schedule.total > 0 && name != service {
			name = "server " + name
		}
		d.States = append(d.States, row{name, y, d.states(e.samples, i)})
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
	outage, end := s.span(down)
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
			cut: {"reset after half of the body", "reset"}, down: {"503"}, reduced: {"capacity grows back", "weak"}}[p.fault]
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

func (d *drawing) success(e *experiment) panel {
	n := panel{Title: "Calls that succeed",
		Ticks: []tick{{height(0), "0 %"}, {height(0.5), "50 %"}, {height(1), "100 %"}}}
	for _, c := range e.columns {
		n.Lines = append(n.Lines, plot(d, c.name, d.calls(e, c), func(calls []call) float64 {
			s := share{of: len(calls)}
			for _, call := range calls {
				if call.ok {
					s.part++
				}
			}
			return s.rate()
		}))
	}
	return n
}

// waits has a logarithmic axis from 1 ms to 2 s.
func (d *drawing) waits(e *experiment) panel {
	share := func(t time.Duration) float64 {
		return min(1, math.Log(float64(max(t, time.Millisecond))/float64(time.Millisecond))/math.Log(2000))
	}
	n := panel{Title: d.fits(float64(d.Right-d.Left), "Time until a call ends, well or badly (95th percentile; logarithmic)", "Time until a call ends (95th percentile)")}
	for i, label := range []string{"1 ms", "10 ms", "100 ms", "1 s"} {
		t := time.Duration(math.Pow10(i)) * time.Millisecond
		n.Ticks = append(n.Ticks, tick{height(share(t)), label})
	}
	for _, c := range e.columns {
		n.Lines = append(n.Lines, plot(d, c.name, d.calls(e, c), func(calls []call) float64 {
			var waits []time.Duration
			for _, call := range calls {
				waits = append(waits, call.took)
			}
			if len(waits) == 0 {
				return math.NaN()
			}
			slices.Sort(waits)
			return share(quantile(waits, 0.95))
		}))
	}
	return n
}

func (d *drawing) load(e *experiment) panel {
	n := panel{Title: "Requests that reach the servers, per second"}
	rates := make([][]float64, len(e.columns))
	most := 1.0
	for i, c := range e.columns {
		moments := slices.Concat(c.received()...)
		slices.Sort(moments)
		for b := range d.buckets(e) {
			from := time.Duration(b) * d.Bucket
			rate := float64(within(moments, from, from+d.Bucket)) / d.Bucket.Seconds()
			rates[i] = append(rates[i], rate)
			most = max(most, rate)
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(most))-1)
	for i := 0; most/step > 4; i++ {
		step *= [...]float64{2, 2.5, 2}[i%3] // 1, 2, 5, 10
	}
	top := step * math.Ceil(most/step)
	for v := 0.0; v <= top; v += step {
		n.Ticks = append(n.Ticks, tick{height(v / top), fmt.Sprint(v)})
	}
	for i, c := range e.columns {
		n.Lines = append(n.Lines, plot(d, c.name, rates[i], func(rate float64) float64 { return rate / top }))
	}
	if rate := e.schedule.rate; rate > 0 {
		n.Note = &tick{height(min(1, rate/top)), fmt.Sprintf("%v calls a second", rate)}
	}
	return n
}

// buckets returns how many whole buckets the run has.
func (d *drawing) buckets(e *experiment) int { return max(1, int(e.end/d.Bucket)) }

// calls sorts the calls of c into buckets by when they were issued.
func (d *drawing) calls(e *experiment, c *column) [][]call {
	list := make([][]call, d.buckets(e))
	for _, call := range c.finished() {
		if i := int(call.issued / d.Bucket); i < len(list) {
			list[i] = append(list[i], call)
		}
	}
	return list
}

// plot joins the values of all buckets with a line. A value is a share of the panel's height; NaN is a gap.
func plot[T any](d *drawing, name string, buckets []T, value func(T) float64) curve {
	var path strings.Builder
	pen := "M"
	for i, bucket := range buckets {
		v := value(bucket)
		if math.IsNaN(v) {
			pen = "M"
			continue
		}
		middle := time.Duration(i)*d.Bucket + d.Bucket/2
		fmt.Fprintf(&path, "%s%v %v", pen, d.x(middle), height(v))
		if pen == "M" {
			path.WriteString("h0") // a point with nothing on either side is a dot
		}
		pen = "L"
	}
	return curve{name, path.String()}
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

// fits returns the first of the texts that is no wider than width, or "".
func (d *drawing) fits(width float64, texts ...string) string {
	for _, text := range texts {
		if float64(len(text))*letter <= width {
			return text
		}
	}
	return ""
}
