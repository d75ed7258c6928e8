package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

func render(t *testing.T, o options, e *experiment) string {
	t.Helper()
	var b strings.Builder
	if err := writeReport(&b, o, e); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed fails the test unless all elements of the page are closed.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

var outside = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|src=|href=|url\(|@import|\son[a-z]+=`)

func TestReport(t *testing.T) {
	e := staged()
	e.schedule.total, e.end = usual, usual
	page := render(t, options{duration: 100 * time.Second, rate: 100, seed: 7}, e)
	wellFormed(t, page)
	if found := outside.FindString(page); found != "" {
		t.Errorf("not self-contained: %q", found)
	}
	for _, want := range []string{
		"prefers-color-scheme: dark", "-duration 1m40s -rate 100 -seed 7", // how it looks, how to repeat it
		"slow: answers after 2 s", ">503s<", "reset after half of the body", "capacity grows back", // faults
		"up to three servers fail", "all fail", "all are back, but weak at first", // shades
		`class="out"`, `class="tried"`, `class="used"`, // states
		"client -&gt; transport", "load in outage",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, broken := range []string{"NaN", "Inf", `d=""`, "ZgotmplZ", "%!", "interrupted"} {
		if strings.Contains(page, broken) {
			t.Errorf("%q in the page", broken)
		}
	}
	if strings.Contains(page, "busy") {
		t.Error("the page says that the machine was busy")
	}
	e.late = time.Second
	if late := render(t, options{rate: 100}, e); !strings.Contains(late, "one call was issued 1.0 s too late") {
		t.Error("the page does not say that the machine was busy")
	}
	if got := strings.Count(page, `<path class="line belay"`); got != 2*3 {
		t.Errorf("%d lines for belay, want 3 in each drawing", got)
	}
}

func TestReportOfLittle(t *testing.T) {
	e := staged()
	e.interrupted, e.end, e.samples = true, 50*time.Millisecond, nil
	for _, c := range e.columns {
		c.calls = nil
		c.received = func() [][]time.Duration { return [][]time.Duration{nil, nil} }
	}
	page := render(t, options{duration: 100 * time.Second, rate: 100, seed: 7}, e)
	wellFormed(t, page)
	if !strings.Contains(page, "interrupted") || strings.Contains(page, "NaN") {
		t.Error("a run that was interrupted at once is not shown as such")
	}
}

func TestReportOfURLs(t *testing.T) {
	e := staged()
	e.schedule, e.targets = schedule{}, []string{"<a>.example"}
	page := render(t, options{duration: time.Minute, rate: 5, urls: []*url.URL{{Host: "<a>.example"}}}, e)
	wellFormed(t, page)
	for _, wrong := range []string{"servers fail", "load in outage", "capacity", "NaN"} {
		if strings.Contains(page, wrong) {
			t.Errorf("%q in a page about endpoints that are not ours", wrong)
		}
	}
	if found := outside.FindString(page); found != "" {
		t.Errorf("not self-contained: %q", found)
	}
}

func TestDrawing(t *testing.T) {
	for _, width := range []int{wide, narrow} {
		t.Run(fmt.Sprint(width), func(t *testing.T) { testDrawing(t, width) })
	}
}

func testDrawing(t *testing.T, width int) {
	e := staged()
	d := draw(e, width)
	if d.Bucket < 250*time.Millisecond || len(d.Seconds) < 4 || len(d.Seconds) > 18 {
		t.Errorf("buckets of %v, %d ticks", d.Bucket, len(d.Seconds))
	}
	left, right := float64(d.Left), float64(d.Right)
	if d.x(0) != left || d.x(d.span) != right || right >= float64(width) {
		t.Errorf("the time line goes from %v to %v", d.x(0), d.x(d.span))
	}
	for _, bars := range [][]bar{d.Shades, d.Faults[0].Bars, d.States[0].Bars} {
		for _, b := range bars {
			if b.X < left || b.X+b.Width > right+0.1 || b.Width <= 0 {
				t.Errorf("%+v is outside of the drawing", b)
			}
			if float64(len(b.Text))*letter > b.Width {
				t.Errorf("%q does not fit into its bar", b.Text)
			}
		}
	}
	if n := len(d.States[1].Bars); n != 2 {
		t.Errorf("%d stretches for a state that changed once, want 2", n)
	}
	if n := len(d.States[3].Bars); n != 0 {
		t.Errorf("%d stretches for a state that there never was, want none", n)
	}
}

func TestPlot(t *testing.T) {
	d := &drawing{Left: 84, Right: 985, Bucket: time.Second, span: 4 * time.Second}
	got := plot(d, "x", []share{{1, 1}, {1, 2}, {0, 0}, {0, 1}}, share.rate).Path
	if want := "M196.6 0h0L421.9 70M872.4 140h0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
