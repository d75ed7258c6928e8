package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPress(t *testing.T) {
	b := &board{rate: 50}
	for _, c := range []struct {
		server, press string
		ok            bool
		want          [len(instances)]fault
	}{
		{"A", "hung", true, [...]fault{hung, none, none, none}},
		{"D", "503", true, [...]fault{hung, none, none, unavailable}},
		{"A", "slow", true, [...]fault{slow, none, none, unavailable}},
		{"E", "hung", false, [...]fault{slow, none, none, unavailable}},
		{"AB", "hung", false, [...]fault{slow, none, none, unavailable}},
		{"", "hung", false, [...]fault{slow, none, none, unavailable}},
		{"all", "", false, [...]fault{slow, none, none, unavailable}},
		{"all", "good", false, [...]fault{slow, none, none, unavailable}},
		{"all", "down", true, [...]fault{down, down, down, down}},
		{"B", "mend", true, [...]fault{down, none, down, down}},
		{"all", "mend", true, [len(instances)]fault{}},
	} {
		ok := b.press(c.server, c.press)
		if got, _ := b.state(); ok != c.ok || got != c.want {
			t.Errorf("press(%q, %q) = %v, then %v; want %v, %v", c.server, c.press, ok, got, c.ok, c.want)
		}
		for i := range len(instances) {
			if got, _ := b.fault(instances[i], 0); got != c.want[i] {
				t.Errorf("server %c is %v, want %v", instances[i], got, c.want[i])
			}
		}
	}
}

func TestPressesAreDistinct(t *testing.T) {
	seen := map[any]bool{}
	for _, p := range presses {
		if seen[p.Name] || seen[p.fault] || p.Text == "" || strings.ContainsAny(p.Name, "/ ?#%") {
			t.Errorf("%+v", p)
		}
		seen[p.Name], seen[p.fault] = true, true
	}
}

func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{rate: 50, start: time.Now()}
		counts := map[bool]int{}
		for moment := range b.calls(1) {
			time.Sleep(moment - time.Since(b.start))
			if moment > 200*time.Second {
				break
			}
			if moment > 100*time.Second {
				b.call("rush")
			}
			counts[moment > 100*time.Second]++
		}
		if usual, rushing := counts[false], counts[true]; usual < 4500 || usual > 5500 || rushing < rush*4500 || rushing > rush*5500 {
			t.Errorf("%d calls, then %d in a rush; want about %d and %d", usual, rushing, 5000, rush*5000)
		}
		if b.call("many") || b.call("") || !b.call("usual") {
			t.Error("there are two numbers of calls, usual and rush")
		}
		if _, rushing := b.state(); rushing {
			t.Error("the rush has no end")
		}
	})
}

// A machine that has slept for an hour does not make the calls of that hour.
func TestCallsAfterASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &board{rate: 50, start: time.Now()}
		late := 0
		for moment := range b.calls(1) {
			if moment > time.Since(b.start) {
				if late > 0 {
					break
				}
				time.Sleep(time.Hour)
				continue
			}
			late++
		}
		if late > 100 {
			t.Errorf("%d calls at once, want those of about a second", late)
		}
		if got := b.takeLate(); got < 59*time.Minute {
			t.Errorf("the worst call was %v late", got)
		}
		if got := b.takeLate(); got != 0 {
			t.Errorf("%v late again", got)
		}
	})
}
