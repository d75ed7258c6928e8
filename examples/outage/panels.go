package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A panel is a diagram with one line for each column, drawn below Top.
type panel struct {
	Title string
	Top   int
	Ticks []tick
	Lines []curve
	Note  *tick // a level to compare with
}

type curve struct{ Name, Path string }

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
	n := panel{Title: d.title("Time until a call ends, well or badly (95th percentile; logarithmic)", "Time until a call ends (p95)")}
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
	n := panel{Title: d.title("Requests that reach the servers, per second", "Requests that arrive, per second")}
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
