package main

import (
	"strings"
	"testing"
	"time"
)

// staged is an experiment that has come to the fifth second of a hundred, without any servers.
func staged() *experiment {
	e := &experiment{schedule: schedule{100 * time.Second, 100}, targets: []string{"A", "B", "C", "D", service}, end: 100 * time.Second}
	for _, name := range []string{"plain", "naive", "careful", "belay"} {
		c := &column{stack: stack{name: name, layers: "client -> transport"}}
		c.calls = every(10*time.Millisecond, 0, 4*time.Second, false)
		c.calls = append(c.calls, every(10*time.Millisecond, 4*time.Second, 4500*time.Millisecond, true)...)
		c.calls = append(c.calls, every(10*time.Millisecond, 4500*time.Millisecond, 5*time.Second, name == "belay")...)
		c.received = func() [][]time.Duration {
			return [][]time.Duration{{4100 * time.Millisecond, 4200 * time.Millisecond}, {time.Second, 4300 * time.Millisecond}}
		}
		e.columns = append(e.columns, c)
	}
	states := []string{"used", "out", "tried", "", "used"}
	e.columns[3].states = func() []string { return states }
	e.samples = []sample{{time.Second, []string{"used", "used", "", "", "used"}}, {50 * time.Second, states}, {100 * time.Second, states}}
	return e
}

func TestRecent(t *testing.T) {
	for i, want := range []int{50, 50, 50, 100} {
		s, median, sent := recent(staged().columns[i], 5*time.Second)
		if s != (share{want, 100}) && s != (share{want - 1, 99}) && s != (share{want, 101}) || median != time.Millisecond || sent != 3 {
			t.Errorf("column %d: %v, %v, %d", i, s, median, sent)
		}
	}
}

func TestLine(t *testing.T) {
	got := line(staged(), 5*time.Second)
	want := "   5 s  plain   50 %  naive   50 %  careful   50 %  belay  100 %  belay: A used, B out, C tried, all used  | A slow"
	if got != want {
		t.Errorf("\n%q, want\n%q", got, want)
	}
}

func TestLinesElsewhere(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out)
	for at := time.Duration(0); at < 5*time.Second; at += sampleEvery {
		p.show(staged(), at)
	}
	p.clear()
	if got := strings.Count(out.String(), "\n"); got != 4 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines, want one for each of the seconds 1 to 4:\n%q", got, out.String())
	}
}

func TestBlockOnATerminal(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, terminal: true}
	for at := time.Duration(0); at < 2*time.Second; at += sampleEvery {
		p.show(staged(), at)
	}
	p.clear()
	blocks := strings.Split(out.String(), "\x1b[J")
	if len(blocks) != 5 || blocks[4] != "" {
		t.Fatalf("%d blocks, want 4 and nothing in the end", len(blocks)-1)
	}
	for _, b := range blocks[:4] {
		for l := range strings.SplitSeq(b, "\n") {
			if len(l) > 79 {
				t.Errorf("%d columns: %q", len(l), l)
			}
		}
	}
}

func TestProgressWithoutSchedule(t *testing.T) {
	e := staged()
	e.schedule = schedule{}
	if got := line(e, 5*time.Second); strings.Contains(got, "|") {
		t.Errorf("faults of servers that are not ours: %q", got)
	}
	if got := block(e, 5*time.Second); strings.Contains(got, "#") || strings.Contains(got, "good") {
		t.Errorf("faults of servers that are not ours: %q", got)
	}
}
